#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "base/core/clock.h"
#include "base/core/random.h"

namespace tidegate::gateway {

struct HealthOptions {
  int errors_in_a_row = 5;
  /// Or more than this share of the last kWindow outcomes.
  double error_share_max = 0.5;
  /// Sequences run and no frame came: the worker hangs.
  Duration stall_after = std::chrono::seconds(30);
  Duration eject_least = std::chrono::seconds(5);  ///< doubled with every ejection in a row, +-20 %
  Duration eject_most = std::chrono::minutes(5);
  /// Of a pool, at once; one worker always, the last one never.
  double ejected_share_max = 0.3;
};

enum class EjectReason : std::uint8_t { kErrorsInARow, kErrorShare, kStalled, kProbeFailed };
std::string_view eject_reason_name(EjectReason reason);

/// Takes workers of one pool that fail what others do not out of the choice, for a while that grows. After that one
/// request goes there as a probe: its first token brings the worker back, its failure takes it out for longer.
///
/// It never makes a pool unavailable: where all workers fail, the fault is elsewhere. What runs on an ejected worker
/// goes on. One thread; every call takes the instant. Workers that did not join are ignored.
class WorkerHealth {
 public:
  using Worker = std::uint64_t;
  static constexpr int kWindow = 20;

  struct Ejection {
    Worker worker = 0;
    EjectReason reason = EjectReason::kErrorsInARow;
    Duration lasts{};
  };

  WorkerHealth(HealthOptions options, std::uint64_t seed) : options_(options), rng_(seed) {}

  void join(Worker worker, Mono now);
  void leave(Worker worker) { records_.erase(worker); }

  bool may_take(Worker worker, Mono now) const;
  /// A request leaves for it; may_take() held.
  void on_start(Worker worker, Mono now);
  /// First output of a sequence.
  void on_good(Worker worker, Mono now);
  /// A sequence ended or left. `is_failure`: by the worker's fault.
  std::optional<Ejection> on_over(Worker worker, bool is_failure, Mono now);
  /// Its session broke: what ran is lost, and one failure.
  std::optional<Ejection> on_lost(Worker worker, Mono now);
  void on_frame(Worker worker, Mono now);
  /// Ejects those that hang.
  std::vector<Ejection> check_stalls(Mono now);

  bool is_ejected(Worker worker) const;
  std::size_t ejected() const;

 private:
  struct Record {
    int errors_in_a_row = 0;
    std::uint32_t history = 0;  ///< one bit an outcome, the newest lowest; 1: failure
    int outcomes = 0;           ///< in `history`, at most kWindow
    int running = 0;
    Mono silent_since{};        ///< last frame, or the start that ended idleness
    int ejections = 0;          ///< in a row
    std::optional<Mono> ejected_until;
    bool is_probing = false;
    Mono good_since{};          ///< end of the last ejection
  };

  Record* find(Worker worker);
  void note(Record& record, bool is_failure);
  std::optional<Ejection> judge(Worker worker, Record& record, Mono now);
  std::optional<Ejection> eject(Worker worker, Record& record, EjectReason reason, Mono now);
  bool may_eject_another() const;

  HealthOptions options_;
  Rng rng_;
  std::map<Worker, Record> records_;
};

}  // namespace tidegate::gateway
