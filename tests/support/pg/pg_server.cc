#include "tests/support/pg/pg_server.h"

#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <pqxx/connection>
#include <pqxx/nontransaction>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "tests/support/eventually.h"

/// libpqxx 6.4 drops the result of a statement whose connection broke. Two kilobytes each, not ours to mend. Read by
/// LeakSanitizer when the program ends.
extern "C" const char* __lsan_default_suppressions() { return "leak:PQmakeEmptyPGresult\nleak:libfontconfig.so\n"; }

namespace tidegate::test {

namespace {

namespace fs = std::filesystem;

constexpr const char* kFolderPrefix = "tgpg-";
constexpr const char* kServerUser = "postgres";  // the system's, when we are root
constexpr const char* kDatabaseUser = "tidegate";

fs::path bin_folder() {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql")) {
    if (fs::exists(entry.path() / "bin/postgres")) found.push_back(entry.path() / "bin");
  }
  if (found.empty()) throw std::runtime_error("no PostgreSQL server under /usr/lib/postgresql");
  return *std::max_element(found.begin(), found.end());
}

bool is_root() { return ::geteuid() == 0; }

/// PostgreSQL refuses root. setpriv execs in place, so the pid is the server's own; the kernel forgets a parent-death
/// signal when a process changes its user, so setpriv has to set it.
std::vector<std::string> as_server_user(std::vector<std::string> command) {
  if (!is_root()) return command;
  std::vector<std::string> out = {"setpriv", "--reuid=" + std::string(kServerUser),
                                  "--regid=" + std::string(kServerUser), "--init-groups", "--pdeathsig=QUIT"};
  out.insert(out.end(), command.begin(), command.end());
  return out;
}

/// Output goes to the end of `log`.
pid_t spawn(const std::vector<std::string>& command, const std::string& log) {
  std::vector<char*> argv;
  for (const auto& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  const int in = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::setpgid(0, 0);  // Ctrl-C on the test must not reach the server before the test does
    ::prctl(PR_SET_PDEATHSIG, SIGQUIT);
    ::dup2(in, 0);
    ::dup2(out, 1);
    ::dup2(out, 2);
    ::execvp(argv[0], argv.data());
    ::_exit(127);
  }
  ::close(in);
  ::close(out);
  if (pid < 0) throw std::runtime_error("fork failed");
  return pid;
}

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool is_alive(pid_t pid) { return ::kill(pid, 0) == 0 || errno == EPERM; }

/// Folders of test programs that were killed before they could tidy up.
void remove_leftovers() {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(fs::temp_directory_path(), ignored)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kFolderPrefix)) continue;
    const pid_t owner = static_cast<pid_t>(std::atol(name.c_str() + std::string(kFolderPrefix).size()));
    if (owner > 0 && !is_alive(owner)) fs::remove_all(entry.path(), ignored);
  }
}

std::string make_folder() {
  std::string pattern = fs::temp_directory_path() / (kFolderPrefix + std::to_string(::getpid()) + "-XXXXXX");
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed for " + pattern);
  if (is_root()) {
    const passwd* user = ::getpwnam(kServerUser);
    if (user == nullptr || ::chown(pattern.c_str(), user->pw_uid, user->pw_gid) != 0) {
      throw std::runtime_error("cannot give " + pattern + " to user postgres");
    }
  }
  return pattern;
}

std::vector<pid_t> children_of(pid_t pid) {
  const std::string number = std::to_string(pid);
  std::ifstream in("/proc/" + number + "/task/" + number + "/children");
  std::vector<pid_t> children;
  for (pid_t child; in >> child;) children.push_back(child);
  return children;
}

/// Kills and waits; the process need not be our child.
void kill_and_wait(pid_t pid) {
  const int handle = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  ::kill(pid, SIGKILL);
  if (handle < 0) return;
  pollfd gone{handle, POLLIN, 0};
  ::poll(&gone, 1, 10'000);
  ::close(handle);
}

}  // namespace

PgServer::PgServer(Durability durability, std::vector<std::string> settings)
    : durability_(durability), settings_(std::move(settings)) {
  remove_leftovers();
  folder_ = make_folder();
  run_initdb();
  start();
}

PgServer::~PgServer() {
  try {
    stop_by(SIGQUIT);  // its folder goes: nothing is worth flushing
  } catch (const std::exception&) {
    if (pid_ > 0) kill9();
  }
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void PgServer::run_initdb() {
  const pid_t pid = spawn(as_server_user({(bin_folder() / "initdb").string(), "-D", folder_ + "/data", "--no-sync",
                                          "-A", "trust", "-U", kDatabaseUser, "-E", "UTF8", "--locale=C"}),
                          folder_ + "/log");
  if (wait_for(pid) != 0) throw std::runtime_error("initdb failed:\n" + log_tail());
}

void PgServer::start() {
  if (pid_ > 0) return;
  std::vector<std::string> command = {(bin_folder() / "postgres").string(), "-D", folder_ + "/data"};
  const std::string fsync = durability_ == Durability::kOn ? "on" : "off";
  for (const std::string& setting : {std::string("listen_addresses="), "unix_socket_directories=" + folder_,
                                     "fsync=" + fsync, "full_page_writes=" + fsync, std::string("shared_buffers=32MB"),
                                     std::string("max_connections=80"), std::string("max_prepared_transactions=0")}) {
    command.push_back("-c");
    command.push_back(setting);
  }
  for (const std::string& setting : settings_) {
    command.push_back("-c");
    command.push_back(setting);
  }
  pid_ = spawn(as_server_user(command), folder_ + "/log");
  wait_until_ready();
}

void PgServer::wait_until_ready() {
  const bool is_ready = eventually(
      [this] {
        if (::waitpid(pid_, nullptr, WNOHANG) == pid_) {
          pid_ = -1;
          throw std::runtime_error("postgres did not start:\n" + log_tail());
        }
        try {
          const pqxx::connection probe(connection_string());
          return probe.is_open();
        } catch (const pqxx::broken_connection&) {
          return false;
        }
      },
      std::chrono::seconds(60));
  if (!is_ready) throw std::runtime_error("postgres is not ready:\n" + log_tail());
}

void PgServer::freeze() {
  if (pid_ <= 0 || !frozen_.empty()) return;
  ::kill(pid_, SIGSTOP);  // first, so that it starts no further child meanwhile
  frozen_ = children_of(pid_);
  for (const pid_t child : frozen_) ::kill(child, SIGSTOP);
  frozen_.push_back(pid_);
}

void PgServer::thaw() {
  for (const pid_t pid : frozen_) ::kill(pid, SIGCONT);
  frozen_.clear();
}

void PgServer::stop() { stop_by(SIGINT); }

void PgServer::stop_by(int signal) {
  if (pid_ <= 0) return;
  thaw();
  ::kill(pid_, signal);
  wait_for(pid_);
  pid_ = -1;
}

void PgServer::kill9() {
  if (pid_ <= 0) return;
  frozen_.clear();  // the dead need no thaw
  ::kill(pid_, SIGSTOP);  // so that it starts no further child meanwhile
  const auto children = children_of(pid_);
  ::kill(pid_, SIGKILL);
  wait_for(pid_);
  for (const pid_t child : children) kill_and_wait(child);
  pid_ = -1;
}

std::string PgServer::connection_string(const std::string& database) const {
  return "host=" + folder_ + " user=" + kDatabaseUser + " dbname=" + database;
}

std::string PgServer::create_database(const std::string& prefix) { return create(prefix, "template1"); }

std::string PgServer::copy_database(const std::string& connection, const std::string& prefix) {
  return create(prefix, connection.substr(connection.rfind('=') + 1));  // as connection_string() wrote it
}

std::string PgServer::create(const std::string& prefix, const std::string& source) {
  const std::string name = prefix + "_" + std::to_string(++databases_);
  pqxx::connection connection(connection_string());
  pqxx::nontransaction session(connection);
  session.exec("CREATE DATABASE " + connection.quote_name(name) + " TEMPLATE " + connection.quote_name(source));
  return connection_string(name);
}

std::string PgServer::log_tail() const {
  std::ifstream in(folder_ + "/log");
  std::ostringstream content;
  content << in.rdbuf();
  const std::string text = content.str();
  return text.size() <= 2000 ? text : text.substr(text.size() - 2000);
}

namespace {

std::unique_ptr<PgServer> shared_server;

/// Linked with PgEnvironment::server(), so only programs that use the server have it.
const ::testing::Environment* const kEnvironment = ::testing::AddGlobalTestEnvironment(new PgEnvironment);

}  // namespace

PgServer& PgEnvironment::server() {
  if (!shared_server) shared_server = std::make_unique<PgServer>();
  return *shared_server;
}

void PgEnvironment::TearDown() { shared_server.reset(); }

}  // namespace tidegate::test
