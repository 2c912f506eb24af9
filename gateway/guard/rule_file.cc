#include "gateway/guard/rule_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <set>
#include <utility>

#include "base/core/encoding.h"
#include "base/json/json.h"

namespace tidegate::gateway {
namespace {

constexpr std::size_t kEntryBytesMax = 128;
constexpr std::array<std::string_view, 8> kFields = {"name", "direction", "pattern", "pii",
                                                     "action", "message", "models", "tenants"};

std::unexpected<Error> bad_rules(std::string_view path, std::string_view field, std::string_view problem) {
  std::string whole = json::join_path(path, field);
  std::string message = fmt::format("{}: {}", whole, problem);
  return fail(Code::kInvalidArgument, "bad_rules", std::move(message), std::move(whole));
}

/// Reads one rule; `path` names it in errors: by its place until its name is known.
class RuleReader {
 public:
  RuleReader(const json::object& from, std::size_t place)
      : from_(from), path_(fmt::format("rules[{}]", place)) {}

  Result<GuardRule> read() {
    TG_TRY(read_name());
    for (const auto& member : from_) {
      const std::string_view key(member.key().data(), member.key().size());
      if (std::ranges::find(kFields, key) != kFields.end()) continue;
      return bad_rules(path_, key, fmt::format("there is no such field; a rule has {}, {}, {} or {}, {}, {}, {}, {}",
                                               kFields[0], kFields[1], kFields[2], kFields[3], kFields[4], kFields[5],
                                               kFields[6], kFields[7]));
    }
    TG_TRY(read_direction());
    TG_TRY(read_pattern());
    TG_TRY(read_action());
    TG_ASSIGN(rule_.models, list("models"));
    TG_ASSIGN(rule_.tenants, list("tenants"));
    TG_TRY(check_tenants());
    return std::move(rule_);
  }

 private:
  Result<std::string> text(std::string_view key) const {
    auto found = json::get_string(from_, key, path_);
    if (!found) return bad_rules(path_, key, "give it, as a string");
    return found;
  }
  Result<std::string> optional_text(std::string_view key) const {
    auto found = json::find_string(from_, key, path_);
    if (!found) return bad_rules(path_, key, "must be a string");
    return std::move(*found).value_or(std::string());
  }

  Status read_name() {
    TG_ASSIGN(rule_.name, text("name"));
    const bool is_plain = std::ranges::all_of(rule_.name, [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    });
    if (!is_plain || rule_.name.empty() || rule_.name.size() > GuardLimits::kRuleNameBytesMax) {
      return bad_rules(path_, "name",
                       fmt::format("use 1 to {} of a-z, 0-9, '-' and '_'", GuardLimits::kRuleNameBytesMax));
    }
    path_ += fmt::format(" '{}'", rule_.name);
    return {};
  }

  Status read_direction() {
    TG_ASSIGN(const std::string direction, text("direction"));
    if (direction != "input" && direction != "output" && direction != "both") {
      return bad_rules(path_, "direction", "must be input, output or both");
    }
    rule_.is_for_input = direction != "output";
    rule_.is_for_output = direction != "input";
    return {};
  }

  Status read_pattern() {
    TG_ASSIGN(rule_.pattern, optional_text("pattern"));
    TG_ASSIGN(const std::string kind, optional_text("pii"));
    if (rule_.pattern.empty() == kind.empty()) {
      return bad_rules(path_, "pattern", "give either a pattern or a kind of pii, not both");
    }
    if (kind.empty()) return {};
    rule_.pii = find_pii_kind(kind);
    if (rule_.pii == nullptr) {
      return bad_rules(path_, "pii", fmt::format("there is no kind '{}'; there are {}", kind, pii_kind_names()));
    }
    rule_.pattern = rule_.pii->pattern;
    return {};
  }

  Status read_action() {
    TG_ASSIGN(const std::string action, text("action"));
    if (action == "deny") {
      rule_.action = GuardAction::kDeny;
    } else if (action == "mask") {
      rule_.action = GuardAction::kMask;
    } else if (action == "log") {
      rule_.action = GuardAction::kLog;
    } else {
      return bad_rules(path_, "action", "must be deny, mask or log");
    }
    TG_ASSIGN(rule_.message, optional_text("message"));
    if (!rule_.message.empty() && rule_.action != GuardAction::kDeny) {
      return bad_rules(path_, "message", "only a rule that denies says something to the client; leave it out");
    }
    if (rule_.message.size() > GuardLimits::kMessageBytesMax || !is_valid_utf8(rule_.message)) {
      return bad_rules(path_, "message", fmt::format("use at most {} bytes of UTF-8", GuardLimits::kMessageBytesMax));
    }
    return {};
  }

  Result<std::vector<std::string>> list(std::string_view key) const {
    std::vector<std::string> out;
    const json::value* found = from_.if_contains(key);
    if (found == nullptr) return out;
    if (!found->is_array() || found->get_array().empty() || found->get_array().size() > RuleFileLimits::kListMax) {
      return bad_rules(path_, key, fmt::format("must be an array of 1 to {} names; leave it out for all of them",
                                               RuleFileLimits::kListMax));
    }
    for (const json::value& entry : found->get_array()) {
      if (!entry.is_string() || entry.get_string().empty() || entry.get_string().size() > kEntryBytesMax) {
        return bad_rules(path_, key, fmt::format("each name is a string of 1 to {} bytes", kEntryBytesMax));
      }
      out.emplace_back(entry.get_string().data(), entry.get_string().size());
    }
    return out;
  }

  Status check_tenants() const {
    const auto excepted = std::ranges::count_if(rule_.tenants, [](std::string_view name) { return name.starts_with('!'); });
    if (excepted == 0 || excepted == std::ssize(rule_.tenants)) return {};
    return bad_rules(path_, "tenants", "name the tenants it is for, or those it is not for ('!' before each), not both");
  }

  const json::object& from_;
  std::string path_;
  GuardRule rule_;
};

}  // namespace

Result<RuleBook> parse_rules(std::string_view text, std::size_t window_bytes) {
  if (text.size() > RuleFileLimits::kBytesMax) {
    return bad_rules("", "rules", fmt::format("the file has {} bytes; at most {}", text.size(), RuleFileLimits::kBytesMax));
  }
  auto document = json::parse(text);
  if (!document) return bad_rules("", "rules", document.error().message);
  if (!document->is_object() || document->get_object().size() != 1) {
    return bad_rules("", "rules", "the file is one object with one member, \"rules\"");
  }
  const json::value* rules = document->get_object().if_contains("rules");
  if (rules == nullptr || !rules->is_array()) return bad_rules("", "rules", "must be an array of rules");
  const json::array& all = rules->get_array();
  if (all.empty() || all.size() > RuleFileLimits::kRulesMax) {
    return bad_rules("", "rules", fmt::format("has {} rules; use 1 to {}", all.size(), RuleFileLimits::kRulesMax));
  }
  std::vector<GuardRule> read;
  std::set<std::string> names;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!all[i].is_object()) return bad_rules("", fmt::format("rules[{}]", i), "must be an object");
    TG_ASSIGN(GuardRule rule, RuleReader(all[i].get_object(), i).read());
    if (!names.insert(rule.name).second) {
      return bad_rules(fmt::format("rules[{}]", i), "name", fmt::format("'{}' is taken; names are unique", rule.name));
    }
    read.push_back(std::move(rule));
  }
  return RuleBook::compile(std::move(read), window_bytes);
}

Result<RuleBook> load_rules(const std::string& path, std::size_t window_bytes) {
  std::ifstream in(path, std::ios::binary);
  std::string text(RuleFileLimits::kBytesMax + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad() || (!in.eof() && in.fail()) || !in.gcount()) {
    return fail(Code::kNotFound, "file_unreadable", fmt::format("{}: cannot be read, or is empty", path), path);
  }
  text.resize(static_cast<std::size_t>(in.gcount()));
  auto book = parse_rules(text, window_bytes);
  if (!book) {
    Error error = std::move(book).error();
    error.message = fmt::format("{}: {}", path, error.message);
    return fail(std::move(error));
  }
  return book;
}

}  // namespace tidegate::gateway
