#include "base/obs/process_metrics.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

namespace tidegate {

namespace {

/// Fields of /proc/self/stat from the third on; the second, the command, may hold blanks and brackets.
std::istringstream stat_after_command() {
  std::ifstream file("/proc/self/stat");
  const std::string line((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const auto end = line.rfind(')');
  return std::istringstream(end == std::string::npos ? "" : line.substr(end + 1));
}

std::uint64_t boot_unix_seconds() {
  std::ifstream file("/proc/stat");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("btime ")) return std::strtoull(line.c_str() + 6, nullptr, 10);
  }
  return 0;
}

void append(std::string& out, const char* name, const char* type, const char* help, double value) {
  out += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n{0} {3}\n", name, help, type, value);
}

}  // namespace

std::string render_process_metrics() {
  // proc(5): state is field 3; utime 14, stime 15, num_threads 20, starttime 22, rss 24.
  std::uint64_t fields[25] = {};
  auto stat = stat_after_command();
  std::string text;
  for (int i = 3; i <= 24 && stat >> text; ++i) fields[i] = std::strtoull(text.c_str(), nullptr, 10);
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  const auto page = static_cast<double>(::sysconf(_SC_PAGESIZE));
  std::error_code error;
  std::filesystem::directory_iterator open_files("/proc/self/fd", error);
  const auto descriptors = error ? 0 : std::distance(open_files, std::filesystem::directory_iterator()) - 1;

  std::string out;
  append(out, "process_cpu_seconds_total", "counter", "User and system CPU time",
         static_cast<double>(fields[14] + fields[15]) / ticks);
  append(out, "process_resident_memory_bytes", "gauge", "Resident memory", static_cast<double>(fields[24]) * page);
  append(out, "process_open_fds", "gauge", "Open file descriptors", static_cast<double>(descriptors));
  append(out, "process_threads", "gauge", "Threads", static_cast<double>(fields[20]));
  append(out, "process_start_time_seconds", "gauge", "Start, seconds since 1970",
         static_cast<double>(boot_unix_seconds()) + static_cast<double>(fields[22]) / ticks);
  return out;
}

}  // namespace tidegate
