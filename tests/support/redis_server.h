#pragma once

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <stdexcept>
#include <string>

#include "tests/support/eventually.h"
#include "tests/support/temp_dir.h"

namespace tidegate::test {

/// A private redis-server on a unix socket in a folder of its own, without persistence. Needs the redis-server
/// package: a test without it fails, it is not skipped. Ends with the object, or with the test process.
class RedisServer {
 public:
  RedisServer() { start(); }
  ~RedisServer() { kill(); }
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  /// As RedisOptions::address wants it.
  std::string address() const { return "unix:" + socket_path(); }
  std::string socket_path() const { return folder_.file("redis.sock"); }

  /// Returns when it accepts connections.
  void start() {
    ::unlink(socket_path().c_str());
    const std::string socket = socket_path(), folder = folder_.path();
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != parent) ::_exit(1);
      ::execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", socket.c_str(), "--dir", folder.c_str(),
               "--save", "", "--appendonly", "no", "--logfile", "redis.log", nullptr);
      ::_exit(127);
    }
    if (!eventually([&] { return accepts() || has_exited(); }) || pid_ < 0) {
      throw std::runtime_error("redis-server did not start; is the package redis-server installed?");
    }
  }
  /// As a crash.
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  /// Frozen: it accepts connections (the kernel does) but answers nothing until thaw().
  void freeze() { ::kill(pid_, SIGSTOP); }
  void thaw() { ::kill(pid_, SIGCONT); }

 private:
  bool accepts() const {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, socket_path().c_str(), sizeof address.sun_path - 1);
    const bool good = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    ::close(fd);
    return good;
  }
  bool has_exited() {
    if (pid_ > 0 && ::waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = -1;
    return pid_ < 0;
  }

  TempDir folder_;
  pid_t pid_ = -1;
};

}  // namespace tidegate::test
