#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/core/result.h"
#include "scheduler/core/fleet_types.h"

namespace tidegate::scheduler {

/// What the driver keeps on disk of one replica, so that a later scheduler finds the process again. The file
/// <run_dir>/<replica>.pid is one line: pid start_ticks term deployment model spec_digest admin_address cgroup
/// (the last one since replicas have limits: a line without it is a record too).
struct ReplicaRecord {
  std::string replica;  ///< the file's name
  std::int64_t pid = 0;
  std::uint64_t start_ticks = 0;  ///< from /proc: a reused pid has another one
  Term term = 0;                  ///< under which it was started
  std::string deployment;
  std::string model;
  std::string spec_digest;
  std::string admin_address;  ///< where Prometheus finds it
  std::string cgroup;         ///< path of the group it was started in; empty: ours

  std::string incarnation() const { return std::to_string(pid) + "." + std::to_string(start_ticks); }
};

/// Replaces the file in one step. Fails: internal/state_unwritable.
Status write_record(const std::filesystem::path& run_dir, const ReplicaRecord& record);
void remove_record(const std::filesystem::path& run_dir, const std::string& replica);
/// Every readable record; a torn or foreign file is passed over.
std::vector<ReplicaRecord> read_records(const std::filesystem::path& run_dir);

/// Puts `term` on record as acting through this folder. Once a term is, in whatever process, every call with an older one that
/// begins later fails; of two that enter at the same moment the older one may still pass, and fails with its next call. <run_dir>/term says it for people; <run_dir>/terms/<term> are what is judged by.
/// Fails: failed_precondition/stale_term, internal/{state_unreadable, state_unwritable}.
Status enter_term(const std::filesystem::path& run_dir, Term term);

/// Prometheus' file_sd list of the replicas, rewritten only when it changed.
Status write_scrape_targets(const std::filesystem::path& run_dir, const std::vector<ReplicaRecord>& alive);

}  // namespace tidegate::scheduler
