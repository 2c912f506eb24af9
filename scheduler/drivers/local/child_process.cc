#include "scheduler/drivers/local/child_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

extern char** environ;

namespace tidegate::scheduler {

namespace {

enum class Step : int { kOpenLog, kJoinCgroup, kNice, kData, kExec };

const char* step_name(Step step) {
  switch (step) {
    case Step::kOpenLog: return "its log cannot be opened";
    case Step::kJoinCgroup: return "it cannot join its cgroup";
    case Step::kNice: return "its nice value cannot be set";
    case Step::kData: return "its RLIMIT_DATA cannot be set";
    case Step::kExec: return "it cannot be run";
  }
  return "unknown step";
}

/// What a child that could not become the program tells its parent.
struct SpawnFailure {
  Step step;
  int code;
};

/// Made before fork(): the child of a process with threads may not allocate, nor take a lock.
struct Prepared {
  std::vector<char*> arguments;
  const char* log = nullptr;
  const char* cgroup_procs = nullptr;  ///< null: it stays in ours
  int nice = 0;
  char nice_text[4] = {};
  rlim_t data_bytes_max = 0;
};

// From here to execve() only async-signal-safe calls.

[[noreturn]] void give_up(int report, Step step) {
  const SpawnFailure failure{step, errno};
  if (::write(report, &failure, sizeof failure) < 0) ::_exit(126);
  ::_exit(127);
}

void join_cgroup(const Prepared& child, int report) {
  if (child.cgroup_procs == nullptr) return;
  const int fd = ::open(child.cgroup_procs, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);  // O_CREAT: for the folders of tests
  if (fd < 0 || ::write(fd, "0", 1) != 1) give_up(report, Step::kJoinCgroup);       // 0: who writes it
  ::close(fd);
}

void set_nice(const Prepared& child, int report) {
  if (child.nice <= ::getpriority(PRIO_PROCESS, 0)) return;
  if (::setpriority(PRIO_PROCESS, 0, child.nice) != 0) give_up(report, Step::kNice);
  // Where the kernel groups by session, the nice value counts inside the session alone, and the session's own is here.
  // Best effort: most kernels of servers do not group, and a second write within 0.1 s is refused.
  const int fd = ::open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  const auto written = ::write(fd, child.nice_text, ::strlen(child.nice_text));
  static_cast<void>(written);
  ::close(fd);
}

void set_data_limit(const Prepared& child, int report) {
  if (child.data_bytes_max == 0) return;
  rlimit limit{};
  if (::getrlimit(RLIMIT_DATA, &limit) != 0) give_up(report, Step::kData);
  const rlim_t most = limit.rlim_max == RLIM_INFINITY || limit.rlim_max > child.data_bytes_max ? child.data_bytes_max : limit.rlim_max;
  limit.rlim_cur = most;
  limit.rlim_max = most;
  if (::setrlimit(RLIMIT_DATA, &limit) != 0) give_up(report, Step::kData);
}

[[noreturn]] void become(const Prepared& child, int report) {
  ::setsid();
  report = ::fcntl(report, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);  // clear of the three below, which may be closed with us
  // What we handle or ignore (SIGPIPE) a worker decides for itself; the signals that cannot be set are passed over.
  struct sigaction by_default {};
  by_default.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) ::sigaction(number, &by_default, nullptr);

  const int in = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int out = ::open(child.log, O_WRONLY | O_CREAT | O_APPEND, 0640);
  if (in < 0 || out < 0) give_up(report, Step::kOpenLog);
  if (in == STDIN_FILENO) ::fcntl(in, F_SETFD, 0);
  if (in != STDIN_FILENO) ::dup2(in, STDIN_FILENO);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(out, STDERR_FILENO);
  join_cgroup(child, report);
  set_nice(child, report);
  // Sockets and database connections of ours must not live on in a worker.
  if (report != STDERR_FILENO + 1) report = ::dup3(report, STDERR_FILENO + 1, O_CLOEXEC);
  ::close_range(STDERR_FILENO + 2, ~0U, 0);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  set_data_limit(child, report);
  ::execve(child.arguments[0], child.arguments.data(), environ);
  give_up(report, Step::kExec);
}

/// nullopt: it has become the program.
std::optional<SpawnFailure> failure_told_by(int report) {
  SpawnFailure failure{};
  for (;;) {
    const auto got = ::read(report, &failure, sizeof failure);
    if (got < 0 && errno == EINTR) continue;
    if (got == static_cast<ssize_t>(sizeof failure)) return failure;
    return std::nullopt;
  }
}

}  // namespace

// Not posix_spawn(): it can neither set a limit nor join a cgroup, and after it a worker would have run without.
Result<std::int64_t> spawn_detached(const std::vector<std::string>& command, const std::filesystem::path& log, const ChildLimits& limits) {
  const std::filesystem::path procs = limits.cgroup / "cgroup.procs";
  Prepared child;
  for (const auto& word : command) child.arguments.push_back(const_cast<char*>(word.c_str()));
  child.arguments.push_back(nullptr);
  child.log = log.c_str();
  if (!limits.cgroup.empty()) child.cgroup_procs = procs.c_str();
  child.nice = std::clamp(limits.nice, 0, 19);
  const std::string nice_text = std::to_string(child.nice);
  nice_text.copy(child.nice_text, sizeof child.nice_text - 1);
  child.data_bytes_max = static_cast<rlim_t>(std::max<std::int64_t>(limits.data_bytes_max, 0));

  const auto failed = [&](const char* what, int code) {
    return fail(Code::kInternal, "start_failed", fmt::format("cannot start '{}': {}: {}", command.front(), what, std::strerror(code)));
  };
  int report[2] = {-1, -1};
  if (::pipe2(report, O_CLOEXEC) != 0) return failed("no pipe", errno);
  // A signal in the child must not run a handler of ours.
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::fork();
  if (pid == 0) become(child, report[1]);
  const int fork_code = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::close(report[1]);
  if (pid < 0) {
    ::close(report[0]);
    return failed("no process", fork_code);
  }
  const auto failure = failure_told_by(report[0]);
  ::close(report[0]);
  if (!failure) return pid;
  ::waitpid(pid, nullptr, 0);
  return failed(step_name(failure->step), failure->code);
}

std::optional<std::uint64_t> start_ticks_of(std::int64_t pid) {
  std::ifstream in(fmt::format("/proc/{}/stat", pid));
  std::string line;
  if (!std::getline(in, line)) return std::nullopt;
  // The name in brackets may hold blanks and brackets: fields are counted from the last one.
  const auto bracket = line.rfind(')');
  if (bracket == std::string::npos) return std::nullopt;
  std::istringstream rest(line.substr(bracket + 1));
  std::string state, skipped;
  rest >> state;
  if (state == "Z" || state == "X") return std::nullopt;
  for (int field = 4; field < 22; ++field) rest >> skipped;
  std::uint64_t ticks = 0;
  if (!(rest >> ticks)) return std::nullopt;
  return ticks;
}

ChildState collect(std::int64_t pid) {
  int status = 0;
  const pid_t ended = ::waitpid(static_cast<pid_t>(pid), &status, WNOHANG);
  if (ended == 0) return {.is_ours = true, .exit = std::nullopt};
  if (ended != pid) return {};
  const int code = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
  return {.is_ours = false, .exit = fmt::format("{} {}", WIFSIGNALED(status) ? "signal" : "exit status", code)};
}

Result<std::uint16_t> free_loopback_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const bool bound = fd >= 0 && ::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                     ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  const int code = errno;
  if (fd >= 0) ::close(fd);
  if (!bound) return fail(Code::kInternal, "start_failed", fmt::format("no free port: {}", std::strerror(code)));
  return ntohs(address.sin_port);
}

}  // namespace tidegate::scheduler
