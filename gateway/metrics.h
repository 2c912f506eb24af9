#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/core/metrics.h"

namespace tidegate::gateway {

/// Handles of one (model, region, pool). Model names come from the catalogue, never from a request.
struct PoolMetrics {
  Histogram* ttft_seconds = nullptr;
  Histogram* inter_token_seconds = nullptr;
  Histogram* request_seconds = nullptr;
  Histogram* queue_wait_seconds = nullptr;
  Gauge* queue_requests = nullptr;
  Gauge* inflight_requests = nullptr;
  Gauge* sessions = nullptr;
  Gauge* credits = nullptr;
  Counter* tokens_prompt_hit = nullptr;
  Counter* tokens_prompt_miss = nullptr;
  Counter* tokens_completion = nullptr;  ///< includes reasoning
  Counter* tokens_reasoning = nullptr;
  Counter* retries = nullptr;
  Counter* workers_lost = nullptr;
  Counter* spills = nullptr;                  ///< new requests sent to another region's pool instead of this one
  Counter* ejections = nullptr;
  Gauge* workers_ejected = nullptr;
  Counter* prefix_tokens_believed = nullptr;  ///< cached at the chosen worker, as the index had it
  Counter* prefix_tokens_found = nullptr;     ///< cached there, as the worker reported
  Gauge* fairness_gap_tokens = nullptr;
  Gauge* fairness_bound_tokens = nullptr;
  Counter* fairness_violations = nullptr;  ///< stays 0
  Counter* arm_passed_on = nullptr;        ///< requests whose arm had no room, given to another
};

/// Where a request was when its client left.
enum class CancelPhase : std::uint8_t { kAdmitting, kQueued, kBeforeFirstToken, kStreaming };

/// Names are final: tests/golden/metrics lists them. One object a lane, on that lane's thread; the counters behind it
/// are shared between lanes.
class GatewayMetrics {
 public:
  explicit GatewayMetrics(MetricRegistry& registry);

  PoolMetrics& pool(const std::string& model, const std::string& region, const std::string& pool_name);
  /// One per finished request. `surface`: "http.chat" | "grpc.chat" | "http.models" | ... (a literal).
  Counter& requests(const std::string& model, std::string_view surface, int status);
  /// `reason` of an Error; unknown ones are counted as "other".
  Counter& refusals(std::string_view reason);
  Counter& cancelled(CancelPhase phase);
  /// Requests of a model whose traffic is divided, by the arm that got them. After kArmsMax arms, "other".
  Counter& arm_requests(const std::string& model, const std::string& arm);

  Counter& answers_held;       ///< to the format or the calls that were asked for
  Counter& answers_broken;     ///< were not what was asked for, and failed
  Counter& answers_unchecked;  ///< too long to tell
  Counter& fields_ignored;
  Counter& keep_alives;
  Counter& routes_refused;      ///< pictures of an older term
  Counter& routes_reconnects;
  Gauge& routes_workers;
  Gauge& routes_version;

 private:
  MetricRegistry& registry_;
  std::map<std::string, PoolMetrics, std::less<>> pools_;
  std::map<std::string, Counter*, std::less<>> requests_;
  std::map<std::string, Counter*, std::less<>> refusals_;
  std::map<std::string, Counter*, std::less<>> arms_;
};

/// What a metric may call a model that is not in the catalogue.
inline constexpr const char* kOtherModel = "other";

}  // namespace tidegate::gateway
