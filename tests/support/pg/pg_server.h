#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <string>
#include <vector>

namespace tidegate::test {

/// A private PostgreSQL in a folder of its own, reachable by unix socket only. As root it runs as user postgres, which
/// the server insists on. It dies with the thread that started it, also when the test is killed: start it from main's.
/// Failures throw std::runtime_error with the server's log.
class PgServer {
 public:
  enum class Durability {
    kOff,  ///< fsync=off: fast; a killed server recovers, a killed machine would not
    kOn,   ///< as in production, for tests that count what survives
  };

  /// initdb and start(). `settings` as "name=value", over those of tests.
  explicit PgServer(Durability durability = Durability::kOff, std::vector<std::string> settings = {});
  ~PgServer();
  PgServer(const PgServer&) = delete;
  PgServer& operator=(const PgServer&) = delete;

  /// Returns when connections are accepted.
  void start();
  /// Fast stop: sessions are cut, data is flushed.
  void stop();
  /// SIGKILL to the postmaster and all its children. start() then recovers from the WAL.
  void kill9();
  /// SIGSTOP to the postmaster and all its children: connections hang instead of breaking.
  void freeze();
  /// They go on. Nothing happens when they are not frozen; stop() and the destructor do it first.
  void thaw();
  bool is_running() const { return pid_ > 0; }
  pid_t pid() const { return pid_; }

  /// libpq keywords for a database.
  std::string connection_string(const std::string& database = "postgres") const;
  /// A new empty database "<prefix>_<n>"; returns its connection string.
  std::string create_database(const std::string& prefix = "test");
  /// A new database "<prefix>_<n>" with all that `connection`'s has, which nobody may be using; its connection string.
  std::string copy_database(const std::string& connection, const std::string& prefix = "test");

 private:
  void run_initdb();
  void wait_until_ready();
  std::string log_tail() const;
  std::string create(const std::string& prefix, const std::string& source);
  void stop_by(int signal);

  const Durability durability_;
  const std::vector<std::string> settings_;
  std::string folder_;
  pid_t pid_ = -1;
  std::vector<pid_t> frozen_;
  int databases_ = 0;
};

/// One server for a whole test program, started on first use.
class PgEnvironment : public ::testing::Environment {
 public:
  /// Linking tests_support_pg registers the environment, so that the server ends with the program's tests.
  static PgServer& server();
  void TearDown() override;
};

/// A fresh database on the shared server: its connection string.
inline std::string fresh_database() { return PgEnvironment::server().create_database(); }

}  // namespace tidegate::test
