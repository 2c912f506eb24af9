#include "bench/load/process_cpu.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace tidegate::bench {

namespace {

std::unexpected<Error> gone(std::int64_t pid) { return fail(Code::kNotFound, "no_process", fmt::format("no process {}", pid)); }

/// utime, stime, and cutime, cstime of children that ended and were waited for: fields 14 to 17 of /proc/PID/stat.
Result<std::array<double, 4>> cpu_fields(std::int64_t pid) {
  std::ifstream in(fmt::format("/proc/{}/stat", pid));
  std::string line;
  if (!std::getline(in, line)) return gone(pid);
  // The second field is the name in brackets and may hold blanks: count from the last bracket.
  std::istringstream rest(line.substr(line.rfind(')') + 2));
  std::string word;
  for (int field = 3; field < 14; ++field) rest >> word;
  std::array<double, 4> out{};
  for (double& each : out) {
    rest >> each;
    each /= static_cast<double>(sysconf(_SC_CLK_TCK));
  }
  return out;
}

}  // namespace

Result<double> process_cpu_seconds(std::int64_t pid) {
  TG_ASSIGN(const auto fields, cpu_fields(pid));
  return fields[0] + fields[1];
}

Result<double> family_cpu_seconds(std::int64_t pid) {
  TG_ASSIGN(const auto fields, cpu_fields(pid));
  double sum = fields[0] + fields[1] + fields[2] + fields[3];
  std::ifstream in(fmt::format("/proc/{0}/task/{0}/children", pid));
  for (std::int64_t child = 0; in >> child;) sum += process_cpu_seconds(child).value_or(0);
  return sum;
}

Result<double> thread_cpu_seconds(std::int64_t pid) {
  std::error_code error;
  double nanoseconds = 0;
  bool is_read = false;
  for (std::filesystem::directory_iterator each(fmt::format("/proc/{}/task", pid), error), end; !error && each != end;
       each.increment(error)) {
    std::ifstream in(each->path() / "schedstat");
    double on_cpu = 0;
    if (!(in >> on_cpu)) continue;  // the thread ended meanwhile
    nanoseconds += on_cpu;
    is_read = true;
  }
  if (!is_read || nanoseconds == 0) return process_cpu_seconds(pid);
  return nanoseconds / 1e9;
}

std::vector<CoreTicks> core_ticks() {
  std::vector<CoreTicks> out;
  std::ifstream in("/proc/stat");
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("cpu") || line.size() < 4 || line[3] == ' ') continue;
    std::istringstream fields(line);
    std::string name;
    fields >> name;
    CoreTicks ticks;
    // user nice system idle iowait irq softirq steal; guest time is in user already.
    double value = 0;
    for (int i = 0; i < 8 && fields >> value; ++i) {
      ticks.all += value;
      if (i != 3 && i != 4) ticks.busy += value;
    }
    out.push_back(ticks);
  }
  return out;
}

Result<double> process_rss_mib(std::int64_t pid) {
  std::ifstream in(fmt::format("/proc/{}/statm", pid));
  double total = 0, resident = 0;
  if (!(in >> total >> resident)) return gone(pid);
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE)) / (1 << 20);
}

}  // namespace tidegate::bench
