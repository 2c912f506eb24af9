// Stands in for a worker under the local driver: says its arguments, then waits for SIGTERM.
//   --child.exit=N        ends at once with status N
//   --child.ignore_term   does not end by SIGTERM

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

int main(int argc, char** argv) {
  bool ignore_term = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    std::printf("%s\n", argv[i]);
    if (argument.starts_with("--child.exit=")) {
      std::fflush(stdout);
      return std::atoi(argv[i] + 13);
    }
    if (argument == "--child.ignore_term") ignore_term = true;
  }
  if (ignore_term) ::signal(SIGTERM, SIG_IGN);
  std::printf("running\n");
  std::fflush(stdout);
  // A test that was killed leaves nobody to stop this process.
  ::alarm(120);
  for (;;) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    if (ignore_term) {
      ::pause();
      continue;
    }
    ::sigprocmask(SIG_BLOCK, &set, nullptr);
    int received = 0;
    if (::sigwait(&set, &received) == 0) return 0;
  }
}
