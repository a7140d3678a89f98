package devcluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// The database of the demo; tests make their own beside it.
const (
	databaseUser = "demo"
	databaseName = "demo"
	databasePort = 5432
	// postgresUser is the account that Debian's package makes: the server refuses to run as root.
	postgresUser = "postgres"
	// postgresHome is where the server sees its folder: the way to the real one may lead through
	// folders that are closed to its account.
	postgresHome = "/var/lib/postgresql"
)

func (c *Cluster) netns() string { return c.path("run", "postgres.netns") }

// startPostgres starts the database in a network of its own on the cluster's bridge, so that it has a
// fixed address and listens on none of the machine's. The first time it makes it.
func (c *Cluster) startPostgres(ctx context.Context, p programs) error {
	programs, err := postgresPath()
	if err != nil {
		return err
	}
	if err := c.makePostgresNetwork(); err != nil {
		return fmt.Errorf("network of the database: %w", err)
	}
	if err := c.initPostgres(ctx, programs); err != nil {
		return fmt.Errorf("the database cannot be made: %w", err)
	}
	if err := c.startCommand(ctx, "postgres", func() (*exec.Cmd, error) {
		return c.inPostgresView(ctx, filepath.Join(programs, "postgres"), "-D", postgresHome+"/data",
			"-c", "listen_addresses="+c.address(2), "-c", "unix_socket_directories=",
			"-c", "fsync=off", "-c", "max_connections=200"), nil
	}); err != nil {
		return err
	}
	exists, err := c.Psql(ctx, "postgres", "--no-align", "--tuples-only", "--command", fmt.Sprintf("SELECT 1 FROM pg_database WHERE datname = '%s'", databaseName))
	if err != nil {
		return err
	}
	if exists == "" {
		if _, err := c.Psql(ctx, "postgres", "--command", "CREATE DATABASE "+databaseName); err != nil {
			return err
		}
	}
	return c.writePostgresEnv()
}

// DatabaseVars are the variables with which PostgreSQL's clients find the named database (libpq), and
// those that a migration is given: an address without a password, and the password.
func (c *Cluster) DatabaseVars(name string) map[string]string {
	port := strconv.Itoa(databasePort)
	return map[string]string{
		"PGHOST":            c.address(2),
		"PGPORT":            port,
		"PGUSER":            databaseUser,
		"PGPASSWORD":        c.settings.Password,
		"PGDATABASE":        name,
		"DATABASE_URL":      "postgres://" + databaseUser + "@" + net.JoinHostPort(c.address(2), port) + "/" + name + "?sslmode=disable",
		"DATABASE_PASSWORD": c.settings.Password,
	}
}

func (c *Cluster) writePostgresEnv() error {
	vars := c.DatabaseVars(databaseName)
	var lines strings.Builder
	for _, key := range slices.Sorted(maps.Keys(vars)) {
		// Quoted for a shell, which would take the question mark of the address for a pattern.
		fmt.Fprintf(&lines, "%s='%s'\n", key, vars[key])
	}
	return writeFile(c.PostgresEnv(), lines.String(), 0o600)
}

// makePostgresNetwork makes the namespace and ties it to the bridge. It does nothing when done.
func (c *Cluster) makePostgresNetwork() error {
	if linkExists(c.veth()) {
		return nil
	}
	if err := unmountBelow(c.path("run")); err != nil { // a namespace that was not tied yet
		return err
	}
	if err := os.WriteFile(c.netns(), nil, 0o600); err != nil {
		return err
	}
	inside := func(args ...string) *exec.Cmd {
		return exec.Command("nsenter", append([]string{"--net=" + c.netns(), "ip"}, args...)...)
	}
	for _, cmd := range []*exec.Cmd{
		exec.Command("unshare", "--net="+c.netns(), "true"),
		exec.Command("ip", "link", "add", c.veth(), "type", "veth", "peer", "name", "eth0", "netns", c.netns()),
		inside("address", "add", fmt.Sprintf("%s/%d", c.address(2), c.prefix().Bits()), "dev", "eth0"),
		inside("link", "set", "lo", "up"),
		inside("link", "set", "eth0", "up"),
		exec.Command("ip", "link", "set", c.veth(), "master", c.bridge(), "up"),
	} {
		if _, err := run(cmd); err != nil {
			return err
		}
	}
	return nil
}

// inPostgresView makes a command that runs as the database's account, in its network, and sees its
// folder at postgresHome. The mount is in a namespace of its own and goes away with the process.
func (c *Cluster) inPostgresView(ctx context.Context, args ...string) *exec.Cmd {
	const script = `mount --bind "$1" ` + postgresHome + ` && shift && cd ` + postgresHome + ` && exec "$@"`
	return exec.Command("unshare", append([]string{
		"--mount", "--propagation", "private", "--", "sh", "-c", script, "sh", c.path("postgres"),
		"nsenter", "--net=" + c.netns(), "--",
		"setpriv", "--reuid=" + postgresUser, "--regid=" + postgresUser, "--init-groups", "--",
	}, args...)...)
}

// initPostgres makes the data folder, if there is none.
func (c *Cluster) initPostgres(ctx context.Context, programs string) error {
	if _, err := os.Stat(c.path("postgres", "data", "PG_VERSION")); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	account, err := user.Lookup(postgresUser)
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(account.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(account.Gid)
	if err != nil {
		return err
	}
	// What a cut-off attempt left is not a database.
	if err := os.RemoveAll(c.path("postgres", "data")); err != nil {
		return err
	}
	password := c.path("postgres", "password")
	if err := os.WriteFile(password, []byte(c.settings.Password), 0o600); err != nil {
		return err
	}
	defer os.Remove(password)
	for _, path := range []string{c.path("postgres"), password} {
		if err := os.Chown(path, uid, gid); err != nil {
			return err
		}
	}
	_, err = run(c.inPostgresView(ctx, filepath.Join(programs, "initdb"), "--pgdata="+postgresHome+"/data", "--no-sync",
		"--username="+databaseUser, "--pwfile="+postgresHome+"/password",
		"--auth-local=scram-sha-256", "--auth-host=scram-sha-256", "--encoding=UTF8", "--no-locale"))
	if err != nil {
		return err
	}
	// initdb lets in loopback addresses only.
	rules, err := os.OpenFile(c.path("postgres", "data", "pg_hba.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(rules, "host all all %s scram-sha-256\n", c.prefix()); err != nil {
		rules.Close()
		return err
	}
	return rules.Close()
}

func (c *Cluster) postgresReady(ctx context.Context) error {
	_, err := c.Psql(ctx, "postgres", "--command", "SELECT 1")
	return err
}

// Psql runs PostgreSQL's client on the named database and returns its output.
func (c *Cluster) Psql(ctx context.Context, database string, args ...string) (string, error) {
	programs, err := postgresPath()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(programs, "psql"), append([]string{
		"--host=" + c.address(2), "--port=" + strconv.Itoa(databasePort), "--username=" + databaseUser, "--dbname=" + database,
		"--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"}, args...)...)
	cmd.Env = append(environment(), "PGPASSWORD="+c.settings.Password, "PGCONNECT_TIMEOUT=30")
	return run(cmd)
}
