#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/core/clock.h"
#include "base/core/result.h"
#include "bench/load/arrivals.h"

namespace tidegate::bench {

struct Target {
  std::string host;  ///< an IPv4 address
  std::uint16_t port = 0;
};

struct LoadTenant {
  std::string name;
  std::string key;  ///< of the Authorization header; empty = none is sent
};

struct WatchedProcess {
  std::string name;
  std::int64_t pid = 0;
};

/// One run, all of it decided beforehand. Read from a JSON file; bench/load/README.md has every member.
struct LoadPlan {
  std::vector<Target> targets;  ///< taken in turn by connections
  std::string path = "/v1/chat/completions";
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  bool is_stream = false;
  std::vector<LoadTenant> tenants;
  std::vector<Phase> phases;
  Spacing spacing = Spacing::kPoisson;
  /// 0: open loop, requests start when the phases' rates say so. Above: so many clients without a pause between an
  /// answer and the next request; then the rates say nothing and phases only cut the figures.
  std::int64_t clients = 0;
  /// Most connections at once. A request that finds none free waits for one, and its latency counts from when it was
  /// due.
  std::int64_t connections_max = 1'000;
  Duration answer_max = std::chrono::seconds(30);
  Duration drain_max = std::chrono::seconds(5);  ///< after the last phase, for answers under way; then they are dropped
  /// A client refused with 429 or 503 asks again after Retry-After (one second without), at most so often.
  std::int64_t retries_max = 0;
  std::uint64_t seed = 1;
  std::vector<WatchedProcess> watched;
};

inline constexpr std::int64_t kConnectionsMax = 16'000;

/// Fails: invalid_argument or not_found, naming the member of the file.
Result<LoadPlan> read_load_plan(const std::string& file);

}  // namespace tidegate::bench
