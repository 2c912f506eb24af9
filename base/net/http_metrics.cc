#include "base/net/http_metrics.h"

namespace tidegate {

namespace {

constexpr std::string_view kReasons[] = {
    "bad_request_line", "bad_header",      "obs_fold",          "http_version",           "headers_too_large",
    "bad_host",         "bad_target",      "bad_connection",  "bad_upgrade",       "bad_transfer_encoding",  "te_with_length",
    "bad_content_length", "body_in_http10", "bad_expect",       "method_not_allowed",     "unsupported_media_type",
    "body_too_large",   "bad_chunk",       "header_timeout",    "body_timeout",           "too_many_connections",
    "too_many_from_address", "too_many_handshakes", "other"};

constexpr std::string_view kHandshakeResults[] = {"full", "resumed", "failed", "timeout", "left", "turned_away"};

}  // namespace

HttpMetrics::HttpMetrics(MetricRegistry& registry, const std::string& service) {
  const std::string prefix = "tidegate_" + service + "_http_";
  connections_open = &registry.gauge(prefix + "connections", "Open client connections");
  connections_total = &registry.counter(prefix + "connections_total", "Client connections accepted");
  for (const std::string_view reason : kReasons) {
    refusals_[std::string(reason)] = &registry.counter(
        prefix + "refusals_total", "Requests refused before a handler saw them", {{"reason", std::string(reason)}});
  }
  for (const std::string_view result : kHandshakeResults) {
    handshakes_[std::string(result)] = &registry.counter(
        prefix + "tls_handshakes_total", "TLS handshakes by how they ended", {{"result", std::string(result)}});
  }
  static constexpr const char* kClasses[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
  for (std::size_t i = 0; i < 6; ++i) {
    requests_[i] =
        &registry.counter(prefix + "requests_total", "Requests by class of their answer", {{"status", kClasses[i]}});
  }
}

void HttpMetrics::count_refusal(std::string_view reason) {
  auto found = refusals_.find(reason);
  if (found == refusals_.end()) found = refusals_.find("other");
  found->second->add();
}

void HttpMetrics::count_handshake(std::string_view result) {
  if (const auto found = handshakes_.find(result); found != handshakes_.end()) found->second->add();
}

void HttpMetrics::count_request(int status) {
  const auto index = static_cast<std::size_t>(status / 100);
  requests_[index < 6 ? index : 0]->add();
}

}  // namespace tidegate
