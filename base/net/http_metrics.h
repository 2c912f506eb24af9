#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/core/metrics.h"

namespace tidegate {

/// Handles of one HttpServer. `service` is the second word of every name.
struct HttpMetrics {
  HttpMetrics(MetricRegistry& registry, const std::string& service);

  Gauge* connections_open;
  Counter* connections_total;
  /// Reasons outside the known set count as "other".
  void count_refusal(std::string_view reason);
  void count_request(int status);
  /// "full", "resumed", "failed", "timeout", "left" or "turned_away".
  void count_handshake(std::string_view result);

 private:
  std::map<std::string, Counter*, std::less<>> refusals_;
  std::map<std::string, Counter*, std::less<>> handshakes_;
  Counter* requests_[6];  ///< by status / 100; 0 holds those without an answer
};

}  // namespace tidegate
