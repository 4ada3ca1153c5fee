// Package fence takes a host's power away through the programs of the fence-agents project (Debian package fence-agents),
// which exist for nearly every management controller, power strip, hypervisor and cloud. A monitor runs them as processes.
//
// What an agent is and does: it reads NAME=VALUE lines on standard input, action=off or action=status among them. To status
// it prints "Status: ON" and exits with 0, or prints "Status: OFF" and exits with 2; anything else is an error. With the
// arguments -o metadata it prints in XML which options and actions it has.
//
// Meaning of off: the power is cut, without a word to the operating system, and stays cut until a person switches it on.
// Nothing here switches on or reboots: whoever is called back without being looked at may fail the same way again. What a
// failed level has switched off stays off too.
//
// Invariants:
//   - A host counts as off only when all devices of one level were seen off: asked in a process of its own, after the command,
//     and with several devices once more when the last of them was off. What the command itself says is never enough, and an
//     exit code of 2 alone is not either: shells and interpreters end so when they cannot even read a program.
//   - Right before each command that changes power the caller is asked whether it is still wanted; once refused, none follows.
//   - When a command did not end well, its outcome is unknown. The status is asked before it is given again.
//   - Options travel on standard input only, never in arguments or the environment. What is secret (see Parameter.Secret), or
//     came from a file, is in no error and no report, not even when the agent prints it, plainly, URL-encoded or in base64.
//   - An agent is a session of its own and has ended with everything it started before its run returns, on Linux even with
//     what has left the session. Its output is bounded, and so is its time.
//
// What is not proven by all this:
//   - That the device belongs to the host: a wrong plug or address fences somebody else. Try each device once by hand.
//   - That the device tells the truth, or that the host has no second power supply that the level does not list.
//   - Test shows that a device can be asked. Whether the same credentials may also switch, only switching shows.
//   - Agents that cut off storage or a network instead of power leave the host's programs running; Check refuses those that say
//     so in their metadata, and a few others that are known not to cut power.
//   - Agents may hand a secret on as they like: fence_ipmilan gives it to ipmitool as an argument, which that overwrites at
//     once; with verbose set several agents write it to the system's log, so Check refuses that.
//   - Options name programs and files (ipmitool_path, password_script): who may write an inventory may run programs as the user
//     of the monitors.
//   - An agent outlives a monitor that is killed while it runs.
//
// Agents of one's own need the prefix fence_, the three calls above, and the exact words Status: OFF.
//
// Concurrency: a Runner may be used by any number of goroutines. Every goroutine and process of a call ends with it.
package fence
