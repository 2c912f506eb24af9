// Stands in for a worker under the local driver: says its arguments, then waits for SIGTERM.
//   --child.exit=N        ends at once with status N
//   --child.ignore_term   does not end by SIGTERM
//   --child.first_thread_ends  its first thread ends at once, as if it were gone: another one waits

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace {

sigset_t term_alone() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  return set;
}

void* wait_for_term(void*) {
  const sigset_t set = term_alone();
  int received = 0;
  while (::sigwait(&set, &received) != 0) {
  }
  ::_exit(0);
}

}  // namespace

int main(int argc, char** argv) {
  bool ignore_term = false;
  bool first_thread_ends = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    std::printf("%s\n", argv[i]);
    if (argument.starts_with("--child.exit=")) {
      std::fflush(stdout);
      return std::atoi(argv[i] + 13);
    }
    if (argument == "--child.ignore_term") ignore_term = true;
    if (argument == "--child.first_thread_ends") first_thread_ends = true;
  }
  if (ignore_term) ::signal(SIGTERM, SIG_IGN);
  std::printf("running\n");
  std::fflush(stdout);
  // A test that was killed leaves nobody to stop this process.
  ::alarm(120);
  if (ignore_term) {
    for (;;) ::pause();
  }
  sigset_t set = term_alone();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  if (!first_thread_ends) wait_for_term(nullptr);
  pthread_t other{};
  if (::pthread_create(&other, nullptr, wait_for_term, nullptr) != 0) return 1;
  ::pthread_exit(nullptr);
}
