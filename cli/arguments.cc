#include "cli/arguments.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "base/core/clock.h"

namespace tidegate::cli {

namespace {
bool contains(const std::vector<std::string>& list, std::string_view name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}
}  // namespace

Result<Arguments> Arguments::parse(const std::vector<std::string>& words, const std::vector<std::string>& options,
                                   const std::vector<std::string>& switches) {
  Arguments parsed;
  bool only_words = false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (only_words || !word.starts_with("--")) {
      parsed.words_.push_back(word);
      continue;
    }
    if (word == "--") {
      only_words = true;
      continue;
    }
    const auto equals = word.find('=');
    const std::string name = word.substr(2, equals == std::string::npos ? equals : equals - 2);
    if (name == "json" || contains(switches, name)) {
      parsed.options_[name] = "true";
    } else if (name == "endpoint" || name == "token-file" || contains(options, name)) {
      if (equals != std::string::npos) {
        parsed.options_[name] = word.substr(equals + 1);
      } else if (i + 1 < words.size()) {
        parsed.options_[name] = words[++i];
      } else {
        return fail(Code::kInvalidArgument, "bad_usage", fmt::format("--{} needs a value", name), name);
      }
    } else {
      std::vector<std::string> known = options;
      known.insert(known.end(), switches.begin(), switches.end());
      known.insert(known.end(), {"json", "endpoint", "token-file"});
      return fail(Code::kInvalidArgument, "bad_usage",
                  fmt::format("unknown option --{}; this command knows --{}", name, fmt::join(known, ", --")), name);
    }
  }
  return parsed;
}

Result<std::string> Arguments::word(std::size_t n, std::string_view what) const {
  if (n < words_.size()) return words_[n];
  return fail(Code::kInvalidArgument, "bad_usage", fmt::format("missing {}", what), std::string(what));
}

std::string Arguments::option(std::string_view name, std::string_view fallback) const {
  const auto found = options_.find(std::string(name));
  return found == options_.end() ? std::string(fallback) : found->second;
}

Result<std::string> Arguments::required_option(std::string_view name) const {
  const auto found = options_.find(std::string(name));
  if (found != options_.end() && !found->second.empty()) return found->second;
  return fail(Code::kInvalidArgument, "bad_usage", fmt::format("--{} is required", name), std::string(name));
}

Result<std::int64_t> Arguments::integer_option(std::string_view name, std::int64_t fallback) const {
  const auto found = options_.find(std::string(name));
  if (found == options_.end()) return fallback;
  std::int64_t number = 0;
  const std::string& text = found->second;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc() || end != text.data() + text.size()) {
    return fail(Code::kInvalidArgument, "bad_usage", fmt::format("--{} takes a whole number, not '{}'", name, text),
                std::string(name));
  }
  return number;
}

Result<std::int64_t> Arguments::integer_within(std::string_view name, std::int64_t fallback, std::int64_t low,
                                               std::int64_t high) const {
  TG_ASSIGN(const std::int64_t value, integer_option(name, fallback));
  if (value >= low && value <= high) return value;
  return fail(Code::kInvalidArgument, "bad_usage", fmt::format("--{} must be {} to {}, not {}", name, low, high, value),
              std::string(name));
}

Result<std::int64_t> Arguments::instant_option(std::string_view name) const {
  if (!has(name)) return 0;
  TG_ASSIGN(const Wall instant, parse_rfc3339(option(name)));
  return unix_micros(instant);
}

}  // namespace tidegate::cli
