package devcluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

// identity is somebody with a certificate of the cluster's authority.
type identity struct {
	file       string // the certificate's file name, without its ending
	user       string
	groups     []string
	server     bool
	kubeconfig bool // whether a kubeconfig of the same name is written too
}

// The groups give the rights: system:masters everything, system:nodes what the node authorizer grants
// (plugin/pkg/auth/authorizer/node). The control plane's users are bound by default roles.
var identities = []identity{
	{file: "admin", user: "devcluster-admin", groups: []string{"system:masters"}, kubeconfig: true},
	{file: "apiserver", user: "kube-apiserver", server: true},
	{file: "apiserver-kubelet", user: "kube-apiserver-kubelet-client", groups: []string{"system:masters"}},
	{file: "controller-manager", user: "system:kube-controller-manager", kubeconfig: true},
	{file: "scheduler", user: "system:kube-scheduler", kubeconfig: true},
	{file: "kubelet", user: "system:node:" + nodeName, groups: []string{"system:nodes"}, kubeconfig: true},
	{file: "kubelet-server", user: "system:node:" + nodeName, server: true},
}

const validity = 365 * 24 * time.Hour

// makeCredentials writes an authority, the certificates that it signs, the key that signs service
// account tokens, and the kubeconfigs. The authority's key is not kept. It does nothing when done.
func (c *Cluster) makeCredentials() error {
	complete := c.path("pki", "complete")
	if _, err := os.Stat(complete); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(c.path("pki"), 0o700); err != nil {
		return err
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	ca := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "devcluster-" + c.id},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(validity),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return err
	}
	caPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := writeFile(c.path("pki", "ca.crt"), string(caPEM), 0o644); err != nil {
		return err
	}
	if _, err := c.makeKey("service-account"); err != nil {
		return err
	}
	for n, who := range identities {
		key, err := c.makeKey(who.file)
		if err != nil {
			return err
		}
		cert := &x509.Certificate{
			SerialNumber: big.NewInt(int64(n) + 2),
			Subject:      pkix.Name{CommonName: who.user, Organization: who.groups},
			NotBefore:    ca.NotBefore,
			NotAfter:     ca.NotAfter,
			KeyUsage:     x509.KeyUsageDigitalSignature,
			ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}
		if who.server {
			cert.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
			cert.DNSNames = []string{"localhost", "kubernetes.default.svc"}
			cert.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
		}
		der, err := x509.CreateCertificate(rand.Reader, cert, ca, key.Public(), caKey)
		if err != nil {
			return err
		}
		certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
		if err := writeFile(c.path("pki", who.file+".crt"), string(certPEM), 0o644); err != nil {
			return err
		}
		if who.kubeconfig {
			if err := c.writeKubeconfig(who.file, caPEM, certPEM, key); err != nil {
				return err
			}
		}
	}
	return writeFile(complete, "", 0o600)
}

func (c *Cluster) makeKey(name string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	text, err := keyPEM(key)
	if err != nil {
		return nil, err
	}
	return key, writeFile(c.path("pki", name+".key"), string(text), 0o600)
}

func keyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

// kubeconfigPath is where the named identity's kubeconfig lies; the administrator's is the cluster's.
func (c *Cluster) kubeconfigPath(name string) string {
	if name == "admin" {
		return c.Kubeconfig()
	}
	return c.path("pki", name+".kubeconfig")
}

func (c *Cluster) writeKubeconfig(name string, ca, cert []byte, key *ecdsa.PrivateKey) error {
	text, err := keyPEM(key)
	if err != nil {
		return err
	}
	encode := base64.StdEncoding.EncodeToString
	return writeFile(c.kubeconfigPath(name), fmt.Sprintf(`apiVersion: v1
kind: Config
clusters:
- name: devcluster
  cluster:
    server: https://127.0.0.1:%d
    certificate-authority-data: %s
users:
- name: %s
  user:
    client-certificate-data: %s
    client-key-data: %s
contexts:
- name: devcluster
  context: {cluster: devcluster, user: %s}
current-context: devcluster
`, c.port(portAPIServer), encode(ca), name, encode(cert), encode(text), name), 0o600)
}
