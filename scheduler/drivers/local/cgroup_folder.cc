#include "scheduler/drivers/local/cgroup_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string_view>
#include <vector>

namespace tidegate::scheduler {

namespace {

/// One write() is one setting: the kernel answers it as a whole. 0, or errno.
int write_setting(const std::filesystem::path& file, std::string_view text) {
  // A group's files are made by the kernel; O_CREAT serves the folders of tests alone.
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return errno;
  const auto written = ::write(fd, text.data(), text.size());
  const int code = written < 0 ? errno : 0;
  ::close(fd);
  return code;
}

bool has_word(const std::filesystem::path& file, std::string_view wanted) {
  std::ifstream in(file);
  std::string word;
  while (in >> word) {
    if (word == wanted) return true;
  }
  return false;
}

/// Of a file of "key number" lines; 0 when it is not there.
std::int64_t number_in(const std::filesystem::path& file, std::string_view wanted) {
  std::ifstream in(file);
  std::string key;
  std::int64_t number = 0;
  while (in >> key >> number) {
    if (key == wanted) return number;
  }
  return 0;
}

std::string first_word(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::string word;
  in >> word;
  return word;
}

Status impossible(std::string message) {
  return fail(Code::kFailedPrecondition, "limits_impossible", std::move(message), "local.cgroup_dir");
}

}  // namespace

Status prepare_group_root(const std::filesystem::path& root, const GroupLimits& limits) {
  if (root.empty()) return impossible("local.cgroup_dir is empty: name a folder of cgroup version 2 that was delegated to the scheduler");
  if (!root.is_absolute() || root.native().find_first_of(" \t\n") != std::string::npos) {
    return impossible(fmt::format("local.cgroup_dir '{}' must be an absolute path without blanks", root.string()));
  }
  const std::filesystem::path controllers = root / "cgroup.controllers";
  if (::access(controllers.c_str(), R_OK) != 0) {
    return impossible(fmt::format("local.cgroup_dir '{}' is no folder of cgroup version 2 (it has no cgroup.controllers): mount cgroup2, or "
                                  "set local.limits_by = process",
                                  root.string()));
  }
  std::vector<const char*> wanted;
  if (limits.cpu_weight > 0) wanted.push_back("cpu");
  if (limits.memory_bytes_max > 0) wanted.push_back("memory");
  for (const char* controller : wanted) {
    if (!has_word(controllers, controller)) {
      return impossible(fmt::format("local.cgroup_dir '{}' was not given the controller '{}': delegate it there (systemd: Delegate=cpu memory), "
                                    "or set local.limits_by = process",
                                    root.string(), controller));
    }
    if (has_word(root / "cgroup.subtree_control", controller)) continue;
    if (const int code = write_setting(root / "cgroup.subtree_control", fmt::format("+{}", controller)); code != 0) {
      return impossible(fmt::format("local.cgroup_dir '{}' does not hand '{}' down: {}. It must be writable, and no process may be in it, "
                                    "the scheduler neither",
                                    root.string(), controller, std::strerror(code)));
    }
  }
  if (::access(root.c_str(), W_OK) != 0) {
    return impossible(fmt::format("local.cgroup_dir '{}' is not writable: {}. Give it to the scheduler's user", root.string(), std::strerror(errno)));
  }
  return {};
}

Result<std::filesystem::path> make_group(const std::filesystem::path& root, const std::string& name, const GroupLimits& limits) {
  const std::filesystem::path group = root / (kGroupPrefix + name);
  std::error_code made;
  std::filesystem::create_directory(group, made);
  if (made) return fail(Code::kInternal, "limits_not_set", fmt::format("cannot make '{}': {}", group.string(), made.message()));
  const auto set = [&](const char* setting, const std::string& value) -> Status {
    const int code = write_setting(group / setting, value);
    if (code == 0) return {};
    ::rmdir(group.c_str());
    return fail(Code::kInternal, "limits_not_set",
                fmt::format("cannot write {} to '{}/{}': {}", value, group.string(), setting, std::strerror(code)));
  };
  if (limits.cpu_weight > 0) {
    TG_TRY(set("cpu.weight", std::to_string(limits.cpu_weight)));
  }
  if (limits.memory_bytes_max > 0) {
    TG_TRY(set("memory.max", std::to_string(limits.memory_bytes_max)));
    TG_TRY(set("memory.oom.group", "1"));
  }
  return group;
}

std::optional<std::string> memory_kill_of(const std::filesystem::path& group) {
  const std::filesystem::path events = group / "memory.events";
  if (number_in(events, "oom_kill") == 0) return std::nullopt;
  // "oom" counts what met this group's own limit; a kill without it came from a group above, or from the whole machine.
  if (number_in(events, "oom") == 0) return "killed for want of memory on its machine, below its own limit";
  return fmt::format("killed at its memory limit of {} bytes", first_word(group / "memory.max"));
}

bool remove_group(const std::filesystem::path& group) { return ::rmdir(group.c_str()) == 0; }

std::size_t sweep_groups(const std::filesystem::path& root, const std::set<std::string>& keep, RemoveGroup remove_one) {
  std::vector<std::filesystem::path> left;
  std::error_code code;
  for (const auto& entry : std::filesystem::directory_iterator(root, code)) {
    const std::filesystem::path& path = entry.path();
    if (path.filename().native().starts_with(kGroupPrefix) && !keep.contains(path.string())) left.push_back(path);
  }
  std::size_t removed = 0;
  for (const auto& path : left) removed += remove_one(path) ? 1U : 0U;
  return removed;
}

}  // namespace tidegate::scheduler
