#include "bench/load/token_events.h"

#include <charconv>

namespace tidegate::bench {

namespace {

/// True when `key` is there with a string that is not empty. Servers under test write no blank behind the colon or one.
bool has_text(std::string_view data, std::string_view key) {
  const std::size_t at = data.find(key);
  if (at == std::string_view::npos) return false;
  std::string_view value = data.substr(at + key.size());
  if (value.starts_with(' ')) value.remove_prefix(1);
  return value.size() > 1 && value[0] == '"' && value[1] != '"';
}

}  // namespace

std::int64_t find_completion_tokens(std::string_view json) {
  constexpr std::string_view kKey = "\"completion_tokens\":";
  const std::size_t at = json.find(kKey);
  if (at == std::string_view::npos) return 0;
  std::string_view value = json.substr(at + kKey.size());
  if (value.starts_with(' ')) value.remove_prefix(1);
  std::int64_t out = 0;
  std::from_chars(value.data(), value.data() + value.size(), out);
  return out;
}

TokenEvents::TokenEvents(std::function<void()> on_token)
    : on_token_(std::move(on_token)), parser_([this](const sse::Parser::Event& event) { take(event.data); }) {}

void TokenEvents::reset() {
  parser_ = sse::Parser([this](const sse::Parser::Event& event) { take(event.data); });
  completion_tokens_ = 0;
  is_done_ = false;
  is_cut_ = false;
}

void TokenEvents::take(std::string_view data) {
  if (data == "[DONE]") {
    is_done_ = true;
    return;
  }
  if (data.starts_with("{\"error\"")) is_cut_ = true;
  if (has_text(data, "\"content\":") || has_text(data, "\"reasoning_content\":")) on_token_();
  if (const std::int64_t told = find_completion_tokens(data); told > 0) completion_tokens_ = told;
}

}  // namespace tidegate::bench
