package devcluster

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// The ports of the cluster, counted from its base port. All of them listen on the loopback address.
const (
	portEtcd = iota
	portEtcdPeer
	portAPIServer
	portControllerManager
	portScheduler
	portKubelet
	portKubeletHealth
	portCount
)

// Ports lie below the range from which Linux gives ports to outgoing connections (ip_local_port_range,
// 32768 and up), so that none is taken while a component is restarted.
const (
	firstPort  = 20000
	portBlocks = 1000
)

// subnets is how many networks of 512 addresses 198.18.0.0/15 holds. That range is set aside for
// tests of networks (RFC 2544): no machine has a real neighbour in it.
const subnets = 256

func (c *Cluster) port(n int) int { return c.settings.BasePort + n }

// prefix is the network of the pods and the database.
func (c *Cluster) prefix() netip.Prefix {
	n := c.settings.Subnet
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{198, byte(18 + n>>7), byte(n&127) << 1, 0}), 23)
}

// address returns the nth address of the network: 1 is the bridge's, 2 the database's.
func (c *Cluster) address(n byte) string {
	ip := c.prefix().Addr().As4()
	ip[3] = n
	return netip.AddrFrom4(ip).String()
}

// bridge and veth are names of network devices, which Linux limits to 15 bytes.
func (c *Cluster) bridge() string { return "dc-" + c.id }
func (c *Cluster) veth() string   { return "dcp-" + c.id }

// chooseSettings picks ports and a network that are free, beginning where the cluster's id points to.
func (c *Cluster) chooseSettings() error {
	c.settings.LogRotation = DefaultLogRotation
	password := make([]byte, 12)
	if _, err := rand.Read(password); err != nil {
		return err
	}
	c.settings.Password = hex.EncodeToString(password)
	start, err := strconv.ParseUint(c.id, 16, 32)
	if err != nil {
		return err
	}
	if c.settings.BasePort, err = freePorts(int(start % portBlocks)); err != nil {
		return err
	}
	used, err := net.InterfaceAddrs()
	if err != nil {
		return err
	}
	for n := range subnets {
		c.settings.Subnet = (int(start) + n) % subnets
		if c.subnetFree(used) {
			return nil
		}
	}
	return errors.New("every network in 198.18.0.0/15 is in use on this machine: run devcluster down for clusters that are not needed")
}

func freePorts(start int) (int, error) {
	for n := range portBlocks {
		base := firstPort + (start+n)%portBlocks*portCount
		if portsFree(base) {
			return base, nil
		}
	}
	return 0, fmt.Errorf("no %d free ports in a row on 127.0.0.1 from %d on", portCount, firstPort)
}

func portsFree(base int) bool {
	for n := range portCount {
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(base+n)))
		if err != nil {
			return false
		}
		listener.Close()
	}
	return true
}

func (c *Cluster) subnetFree(used []net.Addr) bool {
	for _, addr := range used {
		if other, err := netip.ParsePrefix(addr.String()); err == nil && other.Overlaps(c.prefix()) {
			return false
		}
	}
	return true
}

// makeNetwork makes the bridge that pods and the database hang on. There is no way out of it: no
// default route, no forwarding and no address translation, so the machine's own settings stay as they are.
func (c *Cluster) makeNetwork() error {
	if !linkExists(c.bridge()) {
		if err := ip("link", "add", c.bridge(), "type", "bridge"); err != nil {
			return err
		}
	}
	if err := ip("address", "replace", fmt.Sprintf("%s/%d", c.address(1), c.prefix().Bits()), "dev", c.bridge()); err != nil {
		return err
	}
	return ip("link", "set", c.bridge(), "up")
}

// removeNetwork removes the bridge and what still hangs on it.
func (c *Cluster) removeNetwork() error {
	if !linkExists(c.bridge()) {
		return nil
	}
	out, err := run(exec.Command("ip", "-json", "link", "show", "master", c.bridge()))
	if err != nil {
		return err
	}
	var links []struct {
		Name string `json:"ifname"`
	}
	if err := json.Unmarshal([]byte(out), &links); err != nil {
		return err
	}
	for _, link := range links {
		// The kernel removes the devices of a dead pod on its own, a moment later.
		if err := ip("link", "delete", link.Name); err != nil && linkExists(link.Name) {
			return err
		}
	}
	return ip("link", "delete", c.bridge())
}

func linkExists(name string) bool {
	_, err := os.Stat(filepath.Join("/sys/class/net", name))
	return err == nil
}

func ip(args ...string) error {
	_, err := run(exec.Command("ip", args...))
	return err
}
