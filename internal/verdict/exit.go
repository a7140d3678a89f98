package verdict

import "fmt"

// signals are Linux' numbers, whatever system we run on: containers are Linux, except Windows' own, whose exit codes are no
// signals and far above these.
var signals = map[int32]string{
	1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL",
	10: "SIGUSR1", 11: "SIGSEGV", 12: "SIGUSR2", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM", 24: "SIGXCPU", 25: "SIGXFSZ", 31: "SIGSYS",
}

// exitMeaning explains an exit code: words to follow "exited with code n", and a hint. Both are "" for a code that only the
// program itself can explain. The codes from 126 on are the shell's (POSIX, "Exit Status for Commands") and the runtimes'.
func exitMeaning(code int32) (meaning, hint string) {
	switch code {
	case 126:
		return "the command cannot be executed", "Check that the file is executable (chmod +x), that the image has the interpreter its first line names, and that it was built for the node's platform."
	case 127:
		return "a command was not found", "Check its spelling and that the image has it; a missing interpreter or shared library gives the same code."
	case 255:
		return "", "Code 255 is often an exit code of -1, or a failed connection of ssh or kubectl inside the container."
	}
	name, ok := signals[code-128]
	if !ok {
		return "", ""
	}
	meaning = fmt.Sprintf("ended by %s", name)
	switch name {
	case "SIGKILL":
		hint = "Kubernetes reports no memory kill of this container (a busy node may lose that report): something killed it from inside, its node ran out of memory, or the pod was deleted and did not stop in time."
	case "SIGTERM":
		hint = "It was asked to stop: the pod was deleted, evicted or moved, or something in the container stopped it."
	case "SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGTRAP":
		hint = "The program crashed; a binary for another platform or a broken library does that too."
	case "SIGABRT":
		hint = "The program gave itself up; its last lines say why."
	case "SIGSYS":
		hint = "The program made a system call that the seccomp profile forbids."
	}
	return meaning, hint
}
