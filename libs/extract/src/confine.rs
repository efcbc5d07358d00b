//! Walls that the kernel keeps around the child once it has given up its rights, where it can.

use serde::{Deserialize, Serialize};

/// Which of the kernel's walls stood around an extraction, beside the limits on time, memory and files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// Landlock: no file outside of the system's libraries and programs can be opened, none written.
    pub landlock: bool,
    /// seccomp: no sockets, no tracing, no mounting, no kernel modules.
    pub seccomp: bool,
}

/// Raises what walls the kernel has. Only threads started afterwards and the calling one stand behind them.
/// `program` may be read and run wherever it lies.
pub(crate) fn confine(program: Option<&std::path::Path>) -> Confinement {
    #[cfg(target_os = "linux")]
    return Confinement { landlock: linux::landlock(program), seccomp: linux::seccomp() };
    #[cfg(not(target_os = "linux"))]
    {
        let _ = program;
        Confinement::default()
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use landlock::{
        ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
        path_beneath_rules,
    };
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
    use std::collections::BTreeMap;

    /// Where programs such as pdftotext and tesseract and what they load lie. Nothing of /home, /var, /proc, and
    /// nothing else of /etc, where secrets are.
    const READABLE: &[&str] =
        &["/usr", "/bin", "/lib", "/lib64", "/nix/store", "/etc/ld.so.cache", "/etc/fonts", "/dev/urandom"];

    pub(super) fn landlock(program: Option<&std::path::Path>) -> bool {
        // A kernel that knows less of it enforces what it knows.
        let enforced = || -> Result<RulesetStatus, RulesetError> {
            let status = Ruleset::default()
                .handle_access(AccessFs::from_all(ABI::V5))?
                .handle_access(AccessNet::from_all(ABI::V5))?
                .scope(Scope::from_all(ABI::V6))?
                .create()?
                .add_rules(path_beneath_rules(READABLE, AccessFs::from_read(ABI::V5)))?
                .add_rules(path_beneath_rules(program, AccessFs::Execute | AccessFs::ReadFile))?
                .add_rules(path_beneath_rules(["/dev/null"], AccessFs::from_file(ABI::V5)))?
                .restrict_self()?;
            Ok(status.ruleset)
        };
        enforced().is_ok_and(|status| status != RulesetStatus::NotEnforced)
    }

    /// System calls that no reader of documents needs. A list of what is refused, because the programs that are
    /// asked for help differ between systems in what they call.
    const REFUSED: &[i64] = &[
        // network
        libc::SYS_socket,
        libc::SYS_connect,
        libc::SYS_bind,
        libc::SYS_listen,
        libc::SYS_accept,
        libc::SYS_accept4,
        // other processes
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_pidfd_open,
        libc::SYS_pidfd_getfd,
        libc::SYS_kcmp,
        // the kernel's rarer doors, through which most escapes went
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
        libc::SYS_io_uring_setup,
        libc::SYS_io_uring_enter,
        libc::SYS_io_uring_register,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_fanotify_init,
        libc::SYS_open_by_handle_at,
        libc::SYS_name_to_handle_at,
        libc::SYS_personality,
        // the machine
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_move_mount,
        libc::SYS_open_tree,
        libc::SYS_fsopen,
        libc::SYS_fsmount,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_delete_module,
        libc::SYS_kexec_load,
        libc::SYS_reboot,
        libc::SYS_swapon,
        libc::SYS_swapoff,
        libc::SYS_acct,
        libc::SYS_syslog,
        libc::SYS_quotactl,
        libc::SYS_sethostname,
        libc::SYS_setdomainname,
        libc::SYS_settimeofday,
        libc::SYS_clock_settime,
        libc::SYS_adjtimex,
    ];

    /// On x86-64 the same calls can be made under a second numbering (x32) that a filter by number must know.
    #[cfg(target_arch = "x86_64")]
    const X32: i64 = 0x4000_0000;

    pub(super) fn seccomp() -> bool {
        filter().is_some_and(|program| seccompiler::apply_filter(&program).is_ok())
    }

    fn filter() -> Option<BpfProgram> {
        let mut rules = BTreeMap::new();
        for &call in REFUSED {
            rules.insert(call, Vec::new());
            #[cfg(target_arch = "x86_64")]
            rules.insert(call | X32, Vec::new());
        }
        let refused = SeccompAction::Errno(libc::EPERM.cast_unsigned());
        let architecture = std::env::consts::ARCH.try_into().ok()?;
        SeccompFilter::new(rules, SeccompAction::Allow, refused, architecture).ok()?.try_into().ok()
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn the_filter_compiles() {
            let program = super::filter().unwrap();
            assert!(program.len() > super::REFUSED.len());
        }
    }
}
