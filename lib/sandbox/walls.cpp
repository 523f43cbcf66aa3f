#include "sandbox/walls.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <sstream>

#include "core/errors.h"
#include "sandbox/python_sources.h"
#include "sandbox/seccomp.h"

namespace attnlab {
namespace {

using Words = std::vector<std::string>;

constexpr const char* kCompile =
    "import base64, marshal, sys\n"
    "for name, text in zip(sys.argv[1::2], sys.argv[2::2]):\n"
    "    print(name, base64.b64encode(marshal.dumps(compile(text, name + '.py', 'exec'))).decode())\n";

constexpr const char* kImport =
    "import binascii, marshal, sys, types\n"
    "for name, code in zip(sys.argv[1::2], sys.argv[2::2]):\n"
    "    sys.modules[name] = types.ModuleType(name)\n"
    "    exec(marshal.loads(binascii.a2b_base64(code)), sys.modules[name].__dict__)\n"
    "sys.argv = ['']\n";

void append(Words& words, const Words& more) { words.insert(words.end(), more.begin(), more.end()); }

// /usr, and what lies beside it: folders, or links into it.
Words system_folders() {
  Words words{"--ro-bind", "/usr", "/usr"};
  for (const char* name : {"/bin", "/sbin", "/lib", "/lib32", "/lib64"}) {
    if (std::filesystem::is_symlink(name))
      append(words, {"--symlink", std::filesystem::read_symlink(name), name});
    else
      append(words, {"--ro-bind-try", name, name});
  }
  append(words, {"--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"});
  return words;
}

bool below_usr(const std::filesystem::path& path) {
  return path == "/usr" || path.string().starts_with("/usr/");
}

// A Python of its own folder: its programs and libraries, not all that may lie beside them.
Words python_folders(const Walls& walls) {
  Words words;
  if (below_usr(walls.python.prefix)) return words;
  const std::filesystem::path from = walls.as_nobody ? "/mnt" : walls.python.prefix;
  for (const char* name : {"bin", "lib", "lib64"})
    append(words, {"--ro-bind-try", from / name, walls.python.prefix / name});
  return words;
}

Words devices() {
  Words words{"--tmpfs", "/dev"};
  for (const char* name : {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"})
    append(words, {"--dev-bind", name, name});
  append(words, {"--symlink", "/proc/self/fd", "/dev/fd", "--symlink", "/proc/self/fd/0", "/dev/stdin",
                 "--symlink", "/proc/self/fd/1", "/dev/stdout", "--symlink", "/proc/self/fd/2", "/dev/stderr"});
  return words;
}

// Small, private, gone with the process.
Words writable_folders(int64_t mib) {
  const std::string bytes = std::to_string(mib << 20);
  return {"--size", bytes, "--tmpfs", "/dev/shm", "--size", bytes, "--tmpfs", "/tmp", "--chdir", "/tmp"};
}

Words wall_words(const Walls& walls) {
  Words words{walls.bubblewrap, "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc",
              "--unshare-uts", "--unshare-cgroup-try", "--disable-userns", "--uid", "1000", "--gid", "1000",
              "--hostname", "sandbox", "--die-with-parent", "--as-pid-1",
              // Sets and dictionaries of text in the same order in every run.
              "--clearenv", "--setenv", "PYTHONHASHSEED", "0"};
  append(words, system_folders());
  append(words, {"--proc", "/proc"});
  append(words, devices());
  append(words, writable_folders(walls.options.disk_mib));
  append(words, python_folders(walls));
  // The folders that hold mount points, and /proc: to a root that may not become nobody, its files are open.
  append(words, {"--remount-ro", "/proc", "--remount-ro", "/dev", "--remount-ro", "/"});
  return words;
}

std::vector<std::pair<int, rlim_t>> limits(const SandboxOptions& options) {
  const auto bytes = [](int64_t mib) { return static_cast<rlim_t>(mib) << 20; };
  return {{RLIMIT_AS, bytes(options.memory_mib)},
          {RLIMIT_FSIZE, bytes(options.disk_mib)},
          {RLIMIT_NOFILE, 256},
          {RLIMIT_CORE, 1},
          {RLIMIT_MEMLOCK, 0},
          {RLIMIT_MSGQUEUE, 0},
          {RLIMIT_RTPRIO, 0},
          {RLIMIT_NICE, 0},
          {RLIMIT_SIGPENDING, 256}};
}

Launch walled(const Walls& walls, Words words, const Words& python_arguments) {
  append(words, {"--", walls.python.program, "-s", "-S", "-B"});
  append(words, python_arguments);
  const bool hidden = walls.as_nobody && !below_usr(walls.python.prefix);
  return {.command = std::move(words),
          .descriptors = {},
          .limits = limits(walls.options),
          .as_nobody = walls.as_nobody,
          .mount_source = hidden ? walls.python.prefix.string() : ""};
}

std::string last_line(const std::string& text) {
  std::istringstream lines(text);
  std::string last = "no message", line;
  while (std::getline(lines, line))
    if (!line.empty()) last = line;
  return last;
}

std::filesystem::path find_bubblewrap() {
  const std::filesystem::path program = find_on_path("bwrap");
  if (program.empty()) throw RunError("bubblewrap is not installed (package bubblewrap)");
  const Finished help = run_to_end({.command = {program, "--help"}, .descriptors = {}}, 10);
  for (const char* option : {"--size", "--disable-userns"})
    if (help.output.find(option) == std::string::npos && help.errors.find(option) == std::string::npos)
      throw RunError(program.string() + " has no option " + option + ": bubblewrap 0.8 or newer is needed");
  return program;
}

// Inside the walls, so that it tells whether they stand. False, with the reason, if they don't.
bool compile_modules(Walls& walls, std::string& reason) {
  Words words{"-c", kCompile};
  append(words, {"wire", wire_py, "guard", guard_py, "candidate", candidate_py, "remote", remote_py, "examiner",
                 examiner_py});
  const Finished trial = run_to_end(walled(walls, wall_words(walls), words), 30);
  std::istringstream lines(trial.output);
  for (std::string name, code; lines >> name >> code;) walls.modules[name] = code;
  if (trial.status == 0 && walls.modules.size() == 5) return true;
  reason = last_line(trial.errors);
  return false;
}

}  // namespace

Walls build_walls(const SandboxOptions& options) {
  Walls walls{options, find_bubblewrap(), find_interpreter(options.python), geteuid() == 0};
  std::string reason;
  if (compile_modules(walls, reason)) return walls;
  // Root may be allowed what nobody is not.
  walls.as_nobody = false;
  if (geteuid() == 0 && compile_modules(walls, reason)) return walls;
  throw RunError("bubblewrap can't build a sandbox here (are user namespaces allowed?): " + reason);
}

Launch walled_python(const Walls& walls, const std::string& module, const std::string& arguments) {
  Words words = wall_words(walls);
  append(words, {"--info-fd", std::to_string(kInfo)});
  if (!seccomp_filter().empty()) append(words, {"--seccomp", std::to_string(kFilter)});
  Words python{"-c", std::string(kImport) + "import " + module + "\n" + module + ".main(" + arguments + ")\n"};
  const Words needed =
      module == "candidate" ? Words{"wire", "guard", "candidate"} : Words{"wire", "remote", "examiner"};
  for (const std::string& name : needed) append(python, {name, walls.modules.at(name)});
  return walled(walls, std::move(words), python);
}

}  // namespace attnlab
