#pragma once

#include <condition_variable>
#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "base/core/random.h"
#include "gateway/journal/disk.h"

namespace tidegate::gateway::test {

/// A disk in memory that can be torn, cut from power and made to fail. Thread-safe.
class MemoryDisk final : public Disk {
 public:
  // Faults a test asks for.
  /// Writes take at most this many bytes at once.
  void set_write_max(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    write_max_ = bytes;
  }
  /// After `bytes` more written bytes every write and sync fails (the last write is torn there).
  void fail_after_bytes(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    bytes_until_failure_ = bytes;
  }
  /// The n-th operation that changes the disk from now on, and every later one, fails: the process died there.
  void fail_after_operations(std::size_t operations) {
    const std::lock_guard lock(mutex_);
    operations_until_failure_ = operations;
  }
  /// While held, a sync waits: what was written is not durable yet.
  void hold_syncs(bool is_held) {
    {
      const std::lock_guard lock(mutex_);
      are_syncs_held_ = is_held;
    }
    syncs_released_.notify_all();
  }
  void fail_next_sync() {
    const std::lock_guard lock(mutex_);
    fail_sync_ = true;
  }
  void clear_faults() {
    const std::lock_guard lock(mutex_);
    write_max_ = std::numeric_limits<std::size_t>::max();
    bytes_until_failure_.reset();
    operations_until_failure_.reset();
    fail_sync_ = false;
    locked_.clear();
  }
  /// kill -9 of the process: what was written stays. Handles and locks are gone.
  void kill() { clear_faults(); }
  /// Every file keeps what was synced and a random part of the rest, whose bytes may be garbage; names that were not
  /// synced may be lost.
  void cut_power(Rng& rng) {
    clear_faults();
    const std::lock_guard lock(mutex_);
    for (auto it = files_.begin(); it != files_.end();) {
      Node& node = *it->second;
      if (!node.is_named && rng.below(2) == 0) {
        it = files_.erase(it);
        continue;
      }
      const std::size_t loose = node.data.size() - node.synced;
      node.data.resize(node.synced + rng.below(loose + 1));
      if (node.data.size() > node.synced && rng.below(4) == 0) {
        node.data[node.synced + rng.below(node.data.size() - node.synced)] ^= 0x40;
      }
      node.synced = node.data.size();
      node.is_named = true;
      ++it;
    }
  }

  // What a test looks at or damages.
  std::string content(const std::string& path) const {
    const std::lock_guard lock(mutex_);
    return files_.at(path)->data;
  }
  void overwrite(const std::string& path, std::string data) {
    const std::lock_guard lock(mutex_);
    auto& node = files_[path];
    if (!node) node = std::make_shared<Node>();
    node->synced = data.size();
    node->data = std::move(data);
  }
  std::size_t synced_bytes(const std::string& path) const {
    const std::lock_guard lock(mutex_);
    return files_.at(path)->synced;
  }
  bool exists(const std::string& path) const {
    const std::lock_guard lock(mutex_);
    return files_.contains(path);
  }
  std::size_t file_count() const {
    const std::lock_guard lock(mutex_);
    return files_.size();
  }

  // Disk
  Result<std::unique_ptr<AppendFile>> create(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    TG_TRY(step());
    if (files_.contains(path)) return error("create " + path + ": exists");
    auto node = std::make_shared<Node>();
    files_[path] = node;
    return std::make_unique<File>(*this, std::move(node));
  }
  Result<std::string> read(const std::string& path, std::uint64_t offset, std::uint64_t size_max) override {
    const std::lock_guard lock(mutex_);
    const auto found = files_.find(path);
    if (found == files_.end()) return error("open " + path + ": not found");
    const std::string& data = found->second->data;
    return offset >= data.size() ? std::string() : data.substr(offset, size_max);
  }
  Result<std::vector<std::string>> list(const std::string& folder) override {
    const std::lock_guard lock(mutex_);
    std::set<std::string> names;
    const auto collect = [&](const std::string& path) {
      if (path.starts_with(folder + "/")) {
        const std::string rest = path.substr(folder.size() + 1);
        names.insert(rest.substr(0, rest.find('/')));
      }
    };
    for (const auto& [path, node] : files_) collect(path);
    for (const std::string& path : folders_) collect(path);
    return std::vector<std::string>(names.begin(), names.end());
  }
  Status make_folder(const std::string& folder) override {
    const std::lock_guard lock(mutex_);
    TG_TRY(step());
    folders_.insert(folder);
    return {};
  }
  Status remove_file(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    TG_TRY(step());
    if (files_.erase(path) == 0) return error("remove " + path + ": not found");
    return {};
  }
  Status remove_folder(const std::string& folder) override {
    const std::lock_guard lock(mutex_);
    TG_TRY(step());
    for (const auto& [path, node] : files_) {
      if (path.starts_with(folder + "/")) return error("remove " + folder + ": not empty");
    }
    folders_.erase(folder);
    return {};
  }
  Status rename(const std::string& from, const std::string& to) override {
    const std::lock_guard lock(mutex_);
    TG_TRY(step());
    std::map<std::string, std::shared_ptr<Node>> moved;
    for (const auto& [path, node] : files_) {
      const bool inside = path == from || path.starts_with(from + "/");
      moved[inside ? to + path.substr(from.size()) : path] = node;
    }
    files_ = std::move(moved);
    if (folders_.erase(from) > 0) folders_.insert(to);
    return {};
  }
  Status truncate(const std::string& path, std::uint64_t size) override {
    const std::lock_guard lock(mutex_);
    TG_TRY(step());
    Node& node = *files_.at(path);
    node.data.resize(size);
    node.synced = size;
    return {};
  }
  Status sync_folder(const std::string& folder) override {
    const std::lock_guard lock(mutex_);
    TG_TRY(step());
    for (auto& [path, node] : files_) {
      if (path.starts_with(folder + "/")) node->is_named = true;
    }
    return {};
  }
  Result<std::unique_ptr<FolderLock>> lock(const std::string& folder) override {
    const std::lock_guard lock(mutex_);
    if (!locked_.insert(folder).second) return fail(Code::kFailedPrecondition, "journal_locked", folder);
    return std::make_unique<Lock>(*this, folder);
  }

 private:
  // shared_ptr: an open handle outlives its name, as on a real disk.
  struct Node {
    std::string data;
    std::size_t synced = 0;
    bool is_named = false;
  };
  class File final : public AppendFile {
   public:
    File(MemoryDisk& disk, std::shared_ptr<Node> node) : disk_(disk), node_(std::move(node)) {}
    Result<std::size_t> write(std::string_view data) override { return disk_.write(*node_, data); }
    Status sync() override {
      disk_.wait_for_sync();
      return disk_.sync(*node_);
    }

   private:
    MemoryDisk& disk_;
    std::shared_ptr<Node> node_;
  };
  class Lock final : public FolderLock {
   public:
    Lock(MemoryDisk& disk, std::string folder) : disk_(disk), folder_(std::move(folder)) {}
    ~Lock() override {
      const std::lock_guard lock(disk_.mutex_);
      disk_.locked_.erase(folder_);
    }

   private:
    MemoryDisk& disk_;
    std::string folder_;
  };

  void wait_for_sync() {
    std::unique_lock lock(mutex_);
    syncs_released_.wait(lock, [this] { return !are_syncs_held_; });
  }
  static std::unexpected<Error> error(std::string words) {
    return fail(Code::kUnavailable, "disk_error", std::move(words));
  }
  Status step() {
    if (!operations_until_failure_) return {};
    if (*operations_until_failure_ == 0) return error("operation: Input/output error");
    --*operations_until_failure_;
    return {};
  }
  Result<std::size_t> write(Node& node, std::string_view data) {
    const std::lock_guard lock(mutex_);
    TG_TRY(step());
    data = data.substr(0, write_max_);
    if (bytes_until_failure_) {
      if (*bytes_until_failure_ == 0) return error("write: Input/output error");
      data = data.substr(0, *bytes_until_failure_);
      *bytes_until_failure_ -= data.size();
    }
    node.data.append(data);
    return data.size();
  }
  Status sync(Node& node) {
    const std::lock_guard lock(mutex_);
    TG_TRY(step());
    if (std::exchange(fail_sync_, false)) return error("fdatasync: Input/output error");
    if (bytes_until_failure_ && *bytes_until_failure_ == 0) return error("fdatasync: Input/output error");
    node.synced = node.data.size();
    return {};
  }

  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Node>> files_;
  std::set<std::string> folders_;
  std::set<std::string> locked_;
  std::size_t write_max_ = std::numeric_limits<std::size_t>::max();
  std::optional<std::size_t> bytes_until_failure_;
  std::optional<std::size_t> operations_until_failure_;
  bool fail_sync_ = false;
  bool are_syncs_held_ = false;
  std::condition_variable syncs_released_;
};

}  // namespace tidegate::gateway::test
