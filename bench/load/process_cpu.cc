#include "bench/load/process_cpu.h"

#include <fmt/format.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

namespace tidegate::bench {

namespace {
std::unexpected<Error> gone(std::int64_t pid) { return fail(Code::kNotFound, "no_process", fmt::format("no process {}", pid)); }
}  // namespace

Result<double> process_cpu_seconds(std::int64_t pid) {
  std::ifstream in(fmt::format("/proc/{}/stat", pid));
  std::string line;
  if (!std::getline(in, line)) return gone(pid);
  // The second field is the name in brackets and may hold blanks: count from the last bracket.
  std::istringstream rest(line.substr(line.rfind(')') + 2));
  std::string word;
  for (int field = 3; field < 14; ++field) rest >> word;
  double user = 0, system = 0;
  rest >> user >> system;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

Result<double> process_rss_mib(std::int64_t pid) {
  std::ifstream in(fmt::format("/proc/{}/statm", pid));
  double total = 0, resident = 0;
  if (!(in >> total >> resident)) return gone(pid);
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE)) / (1 << 20);
}

}  // namespace tidegate::bench
