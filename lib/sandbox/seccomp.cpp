#include "sandbox/seccomp.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstddef>
#include <vector>

namespace attnlab {
namespace {

#if defined(__x86_64__)
constexpr unsigned kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr unsigned kArchitecture = AUDIT_ARCH_AARCH64;
#else
constexpr unsigned kArchitecture = 0;
#endif

// Numbers from 424 on are the same on every processor; older headers lack their names.
constexpr long kRefused[] = {SYS_memfd_create,
                             SYS_shmget,
                             SYS_msgget,
                             SYS_semget,
                             SYS_ptrace,
                             SYS_process_vm_readv,
                             SYS_process_vm_writev,
                             SYS_kcmp,
                             SYS_bpf,
                             SYS_perf_event_open,
                             SYS_userfaultfd,
                             SYS_add_key,
                             SYS_request_key,
                             SYS_keyctl,
                             SYS_mount,
                             SYS_umount2,
                             SYS_pivot_root,
                             SYS_setns,
                             SYS_unshare,
                             SYS_fanotify_init,
                             SYS_name_to_handle_at,
                             SYS_open_by_handle_at,
                             SYS_kexec_load,
                             SYS_init_module,
                             SYS_finit_module,
                             SYS_delete_module,
                             SYS_swapon,
                             SYS_swapoff,
                             SYS_reboot,
                             SYS_syslog,
                             SYS_quotactl,
                             SYS_acct,
                             425 /* io_uring_setup */,
                             428 /* open_tree */,
                             429 /* move_mount */,
                             430 /* fsopen */,
                             442 /* mount_setattr */,
                             447 /* memfd_secret */};

sock_filter statement(unsigned code, unsigned value) { return {static_cast<__u16>(code), 0, 0, value}; }
// Skips `otherwise` statements if the loaded number is not `value`.
sock_filter unless(unsigned code, unsigned value, int otherwise) {
  return {static_cast<__u16>(BPF_JMP | code | BPF_K), 0, static_cast<__u8>(otherwise), value};
}

}  // namespace

std::string seccomp_filter() {
  if (kArchitecture == 0) return "";
  std::vector<sock_filter> filter{
      statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      {BPF_JMP | BPF_JEQ | BPF_K, 1, 0, kArchitecture},
      statement(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      unless(BPF_JGE, 0x40000000, 1),  // the x32 numbers of x86-64 would get round the list
      statement(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS)};
  for (const long number : kRefused) {
    filter.push_back(unless(BPF_JEQ, static_cast<unsigned>(number), 1));
    filter.push_back(statement(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
  }
  filter.push_back(statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  return {reinterpret_cast<const char*>(filter.data()), filter.size() * sizeof(sock_filter)};
}

}  // namespace attnlab
