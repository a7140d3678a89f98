// Package devcluster runs a real Kubernetes of one node on a bare Linux machine, as root, without a
// container registry: etcd, the control plane, the kubelet, containerd and a PostgreSQL.
//
// Everything that a cluster owns is found again by what the kernel or the disk keeps of it, so that
// the leftovers of a killed run are cleaned up like those of a finished one:
//
//   - files and mounts lie below one folder (see [Open]);
//   - processes are members of one control group, the long-lived ones also recorded with their
//     process id and start time;
//   - network devices hang on one bridge, whose name is derived from the folder.
package devcluster
