#include "gateway/guard/rule_book.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace tidegate::gateway {
namespace {

/// The longest character.
constexpr std::size_t kContextBytes = 4;

std::unexpected<Error> bad_rule(const GuardRule& rule, std::string_view field, std::string_view problem) {
  return fail(Code::kInvalidArgument, "bad_rules", fmt::format("rule '{}': '{}': {}", rule.name, field, problem),
              fmt::format("{}.{}", rule.name, field));
}

Status check_for_output(const GuardRule& rule, std::size_t bytes_max, bool has_anchors, std::size_t window_bytes) {
  if (has_anchors) {
    return bad_rule(rule, "pattern",
                    "^, $, \\A and \\z have no place in a rule for output, which is read in pieces; use \\b, or make the "
                    "rule's direction input");
  }
  if (bytes_max <= window_bytes) return {};
  const std::string length = bytes_max == TextRules::kUnbounded ? "without end" : fmt::format("{} bytes long", bytes_max);
  return bad_rule(rule, "pattern",
                  fmt::format("a match may be {}, and guard.window_bytes is {}: bound its repetitions ({{0,64}} in place of "
                              "*), widen the window, or make the rule's direction input",
                              length, window_bytes));
}

bool names_tenant(std::string_view entry, const GuardSubject& subject) {
  return entry == subject.tenant_name || entry == subject.tenant.to_string();
}

}  // namespace

bool GuardRule::is_for(GuardDirection direction) const {
  return direction == GuardDirection::kInput ? is_for_input : is_for_output;
}

bool GuardRule::binds(const GuardSubject& subject) const {
  if (!models.empty() && std::ranges::find(models, subject.model) == models.end()) return false;
  if (tenants.empty()) return true;
  const bool is_except = tenants.front().starts_with('!');
  const bool is_named = std::ranges::any_of(tenants, [&](std::string_view entry) {
    return names_tenant(is_except ? entry.substr(1) : entry, subject);
  });
  return is_named != is_except;
}

Result<RuleBook::Side> RuleBook::compile_side(const std::vector<GuardRule>& rules, GuardDirection direction) {
  std::vector<std::size_t> places;
  std::vector<std::string> patterns;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    if (!rules[i].is_for(direction)) continue;
    places.push_back(i);
    patterns.push_back(rules[i].pattern);
  }
  auto compiled = TextRules::compile(patterns);
  if (!compiled) {
    const Error& error = compiled.error();
    std::size_t place = 0;
    const auto [end, none] = std::from_chars(error.field.data(), error.field.data() + error.field.size(), place);
    if (none == std::errc() && place < places.size()) return bad_rule(rules[places[place]], "pattern", error.message);
    return fail(Code::kInvalidArgument, "bad_rules",
                fmt::format("the rules for {}: {}", direction_name(direction), error.message), "rules");
  }
  return Side{std::move(places), *std::move(compiled)};
}

Result<RuleBook> RuleBook::compile(std::vector<GuardRule> rules, std::size_t window_bytes) {
  TG_ASSIGN(Side input, compile_side(rules, GuardDirection::kInput));
  TG_ASSIGN(Side output, compile_side(rules, GuardDirection::kOutput));
  for (std::size_t i = 0; i < output.rules.size(); ++i) {
    TG_TRY(check_for_output(rules[output.rules[i]], output.patterns.bytes_max(i), output.patterns.has_anchors(i),
                            window_bytes));
  }
  return RuleBook(std::move(rules), window_bytes, std::move(input), std::move(output));
}

bool RuleBook::reads(const GuardSubject& subject, GuardDirection direction) const {
  return std::ranges::any_of(side(direction).rules, [&](std::size_t place) { return rules_[place].binds(subject); });
}

std::size_t RuleBook::output_bytes_max() const {
  std::size_t most = 0;
  for (std::size_t i = 0; i < output_.patterns.size(); ++i) most = std::max(most, output_.patterns.bytes_max(i));
  return most;
}

/// One text's way to its verdict.
struct RuleBook::TextJudge {
  /// A mask rule and its next match.
  struct Runner {
    std::size_t pattern;
    std::optional<TextSpan> next;
  };

  const RuleBook& book;
  const Side& side;
  const GuardSubject& subject;
  const GuardText& text;
  const std::size_t place;  ///< in the check
  GuardVerdict& verdict;
  std::size_t open = 0;     ///< from here on matches may still begin or change

  const GuardRule& rule(std::size_t pattern) const { return book.rules_[side.rules[pattern]]; }

  /// The next match that nothing to come can change.
  std::optional<TextSpan> find(std::size_t pattern, std::size_t from) const {
    const PiiKind* kind = rule(pattern).pii;
    while (true) {
      const auto found = side.patterns.find(pattern, text.all, from);
      if (!found || found->begin >= open) return std::nullopt;
      if (kind == nullptr) return found;
      const std::size_t length = kind->length(text.all.substr(found->begin, found->end - found->begin));
      if (length > 0) return TextSpan{found->begin, found->begin + length};
      from = next_character(text.all, found->begin);
    }
  }

  void hit(std::size_t pattern) const {
    const GuardRule& which = rule(pattern);
    for (const GuardHit& known : verdict.hits) {
      if (known.rule == which.name) return;
    }
    verdict.hits.push_back({which.name, which.action});
  }

  static Runner* first_of(std::vector<Runner>& runners) {
    Runner* first = nullptr;
    for (Runner& runner : runners) {
      if (runner.next && (first == nullptr || runner.next->begin < first->next->begin)) first = &runner;
    }
    return first;
  }

  void judge() {
    const std::size_t size = text.all.size();
    open = text.is_last ? size : side.patterns.first_open(text.all, text.origin);
    std::vector<Runner> masks;
    std::optional<Runner> denied;
    const std::vector<bool> matched = side.patterns.which(text.all);
    for (std::size_t i = 0; i < matched.size(); ++i) {
      if (!matched[i] || !rule(i).binds(subject)) continue;
      const auto found = find(i, text.origin);
      if (!found) continue;
      switch (rule(i).action) {
        case GuardAction::kLog: hit(i); break;
        case GuardAction::kMask: masks.push_back({i, found}); break;
        case GuardAction::kDeny:
          if (!denied || found->begin < denied->next->begin) denied = Runner{i, found};
          break;
      }
    }
    const std::size_t stop = denied ? denied->next->begin : open;
    std::size_t decided = mask(masks, stop, denied.has_value());
    if (denied) {
      hit(denied->pattern);
      verdict.denial = GuardDenial{rule(denied->pattern).name, rule(denied->pattern).message, place};
      decided = std::max(decided, stop);
    }
    verdict.decided.push_back(decided - text.origin);
  }

  /// Replaces regions that begin before `stop`; returns where the decided part ends, as far as masks know.
  std::size_t mask(std::vector<Runner>& masks, std::size_t stop, bool is_stop_final) {
    std::size_t end = text.origin;
    while (Runner* first = first_of(masks)) {
      if (first->next->begin >= stop) break;
      TextSpan region = *first->next;
      const std::size_t named_by = first->pattern;
      std::vector<std::size_t> members;
      while (Runner* next = first_of(masks)) {
        const bool is_new = members.empty();
        const bool joins = next->next->begin < region.end && next->next->begin < stop &&
                           region.end - region.begin < book.window_bytes_;
        if (!is_new && !joins) break;
        region.end = std::max(region.end, next->next->end);
        members.push_back(next->pattern);
        next->next = find(next->pattern, next->next->end);
      }
      // What may still begin inside it may join it, or be denied: all of it waits, and no piece ends inside a region.
      if (region.end > open && !is_stop_final) return region.begin;
      for (const std::size_t member : members) hit(member);
      std::string name = fmt::format("[{}]", rule(named_by).name);
      verdict.spans.push_back({place, region.begin - text.origin, region.end - text.origin, std::move(name)});
      end = region.end;
      for (Runner& runner : masks) {
        if (runner.next && runner.next->begin < end) runner.next = find(runner.pattern, end);
      }
    }
    return std::max(end, is_stop_final ? end : open);
  }
};

GuardVerdict RuleBook::judge(const GuardCheck& check) const {
  GuardVerdict verdict;
  const Side& rules = side(check.direction);
  for (std::size_t i = 0; i < check.texts.size(); ++i) {
    if (verdict.denial) {
      verdict.decided.push_back(0);
      continue;
    }
    // Of what stands before the piece a rule sees one character, through \b.
    GuardText near = check.texts[i];
    std::size_t cut = near.origin > kContextBytes ? near.origin - kContextBytes : 0;
    while (cut < near.origin && (static_cast<unsigned char>(near.all[cut]) & 0xc0) == 0x80) ++cut;
    near.all.remove_prefix(cut);
    near.origin -= cut;
    TextJudge one{*this, rules, check.subject, near, i, verdict};
    one.judge();
  }
  return verdict;
}

}  // namespace tidegate::gateway
