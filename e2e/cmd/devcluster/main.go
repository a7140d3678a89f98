// Command devcluster runs a real Kubernetes of one node on this machine, for tests and for the demo.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"

	"github.com/planton/kubernetes-job-action/e2e/devcluster"
)

const usage = `devcluster runs a real Kubernetes of one node on this machine.

usage: devcluster COMMAND [FLAGS] [ARGUMENTS]

  up                   bring the cluster up, or heal it; safe to repeat
  down                 end the cluster and remove all of it
  status               show what runs; exit code 1 when something does not
  load IMAGE-TAR...    load images from archives (docker save, or OCI)
  archive FILE         write the images to an archive, for another cluster
  stop COMPONENT       end one component; --kill for SIGKILL instead of SIGTERM
  start COMPONENT      start it again
  restart COMPONENT    both

components: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, containerd, kubelet, postgres; docker, which only start starts

flags:
`

// errUsage stands for a mistake in the command line that has been reported already.
var errUsage = errors.New("usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); {
	case errors.Is(err, errUsage):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "devcluster:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("devcluster", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	dir := flags.String("dir", "", "folder of the cluster (default .devcluster in the project's root)")
	kill := flags.Bool("kill", false, "stop, restart: end the component with SIGKILL")
	rotation := devcluster.DefaultLogRotation
	flags.StringVar(&rotation.MaxSize, "log-max-size", rotation.MaxSize, "up, restart kubelet: size at which a container's log is rotated")
	flags.IntVar(&rotation.MaxFiles, "log-max-files", rotation.MaxFiles, "up, restart kubelet: how many files of a container's log are kept")
	flags.DurationVar(&rotation.Interval, "log-monitor-interval", rotation.Interval, "up, restart kubelet: how often sizes are looked at")
	if len(args) == 0 {
		flags.Usage()
		return errUsage
	}
	// Flags may stand before and behind the arguments: the flag package stops at the first argument.
	command, rest := args[0], args[1:]
	var arguments []string
	for {
		if err := flags.Parse(rest); errors.Is(err, flag.ErrHelp) {
			return nil
		} else if err != nil {
			return errUsage
		}
		if flags.NArg() == 0 {
			break
		}
		arguments = append(arguments, flags.Arg(0))
		rest = flags.Args()[1:]
	}
	// Only flags that were given replace what the cluster has recorded.
	var changed *devcluster.LogRotation
	flags.Visit(func(f *flag.Flag) {
		if f.Name == "log-max-size" || f.Name == "log-max-files" || f.Name == "log-monitor-interval" {
			changed = &rotation
		}
	})
	wanted, known := map[string]int{"up": 0, "down": 0, "status": 0, "load": 1, "archive": 1, "stop": 1, "start": 1, "restart": 1}[command]
	if !known || len(arguments) < wanted || len(arguments) > wanted && command != "load" {
		flags.Usage()
		return errUsage
	}
	cluster, err := devcluster.Open(*dir, stdout)
	if err != nil {
		return err
	}
	signal := syscall.SIGTERM
	if *kill {
		signal = syscall.SIGKILL
	}
	switch command {
	case "up":
		return cluster.Up(ctx, devcluster.Options{LogRotation: changed})
	case "down":
		return cluster.Down()
	case "status":
		return status(ctx, cluster, stdout)
	case "load":
		return cluster.Load(ctx, arguments...)
	case "archive":
		return cluster.Archive(ctx, arguments[0])
	case "stop":
		return cluster.Stop(arguments[0], signal)
	case "restart":
		if err := cluster.Stop(arguments[0], signal); err != nil {
			return err
		}
	}
	if err := cluster.Start(ctx, arguments[0], changed); err != nil || arguments[0] != "docker" {
		return err
	}
	return cluster.BaseImages(ctx)
}

func status(ctx context.Context, cluster *devcluster.Cluster, stdout io.Writer) error {
	status, err := cluster.Status(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "cluster     %s\nkubeconfig  %s\nserver      %s\npostgres    %s (see %s)\nlogs        rotated at %s, %d files, looked at every %s\n\n",
		status.Dir, cluster.Kubeconfig(), status.Server, status.Postgres, cluster.PostgresEnv(),
		status.Rotation.MaxSize, status.Rotation.MaxFiles, status.Rotation.Interval)
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	var broken error
	for _, c := range status.Components {
		state := "ready"
		if c.Err != nil {
			state = c.Err.Error()
			broken = errors.New("the cluster is not complete: devcluster up heals it")
		}
		fmt.Fprintf(table, "%s\t%d\t%s\n", c.Name, c.PID, state)
	}
	return errors.Join(table.Flush(), broken)
}
