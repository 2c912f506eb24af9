#include "worker/engine/grammar/schema_compiler.h"

#include <fmt/format.h>

#include <algorithm>

namespace tidegate::worker::grammar {

Result<Target> SchemaCompiler::compile(const json::value& schema) {
  const SchemaDocument document(schema);
  document_ = &document;
  known_.clear();
  TG_ASSIGN(const Target root, rule_of({&schema}));
  // A list, not recursion: a long chain of references must not use up the thread's stack. In order, so that what the
  // schema says first has the lower numbers (Matcher keeps those when there are too many).
  for (std::size_t next = 0; next < open_.size() && !b_.full(); ++next) {
    const auto [schemas, rule] = open_[next];
    TG_TRY(fill(schemas, rule));
  }
  open_.clear();
  document_ = nullptr;
  return root;
}

Status SchemaCompiler::too_many(std::string_view what, std::size_t limit) const {
  return fail(Code::kInvalidArgument, "schema_too_complex", fmt::format("the schema has more than {} {}", limit, what));
}

// A schema that only refers to another is that other, so that all references share its rule.
Result<const json::value*> SchemaCompiler::referred(const json::value* schema) const {
  for (std::size_t hops = 0; hops < limits_.rules_max && is_plain_reference(*schema); ++hops) {
    TG_ASSIGN(schema, document_->resolve(schema->get_object().at("$ref"), *schema));
  }
  return schema;
}

Result<Target> SchemaCompiler::rule_of(Schemas schemas) {
  if (schemas.empty()) return Target{.start = rules_.value};
  if (schemas.size() == 1) {
    TG_ASSIGN(schemas.front(), referred(schemas.front()));
  }
  const auto [found, is_new] = known_.try_emplace(schemas, 0);
  if (is_new) {
    if (known_.size() > limits_.rules_max) return std::unexpected(too_many("parts", limits_.rules_max).error());
    found->second = b_.node();
    open_.emplace_back(schemas, found->second);
  }
  return Target{.start = found->second};
}

Status SchemaCompiler::fill(const Schemas& schemas, NodeId rule) {
  FlatSchema flat;
  for (const json::value* schema : schemas) TG_TRY(flat.add(*schema, *document_));
  return add_choices(flat, rule);
}

Status SchemaCompiler::add_choices(const FlatSchema& flat, NodeId rule) {
  if (flat.impossible || b_.full()) return {};
  const bool asserts = flat.asserts();
  if (flat.choices.empty() && asserts) return add_plain(flat.plain, rule);
  if (flat.choices.empty()) {
    b_.call(rule, {.start = rules_.value}, kDone, 0);
    return {};
  }
  const bool alone = flat.choices.size() == 1 && !asserts;
  FlatSchema rest = flat;
  const json::array& choice = *rest.choices.back();
  rest.choices.pop_back();
  for (const json::value& alternative : choice) {
    if (++alternatives_ > limits_.alternatives_max) return too_many("alternatives", limits_.alternatives_max);
    if (alone) {
      TG_ASSIGN(const Target target, rule_of({&alternative}));
      b_.call(rule, target, kDone, 0);
      continue;
    }
    FlatSchema both = rest;
    TG_TRY(both.add(alternative, *document_));
    TG_TRY(add_choices(both, rule));
  }
  return {};
}

Status SchemaCompiler::add_plain(const Schemas& plain, NodeId rule) {
  TG_ASSIGN(const SchemaFacts facts, SchemaFacts::of(plain, *document_));
  if (facts.values) {
    add_values(facts, rule);
    return {};
  }
  if ((facts.types & type::kNull) != 0) b_.literal(rule, "null", kDone);
  if ((facts.types & type::kBoolean) != 0) b_.literals(rule, {"true", "false"}, kDone);
  if ((facts.types & type::kInteger) != 0) add_number(facts, rule);
  if ((facts.types & type::kString) != 0) TG_TRY(add_string(facts, *plain.front(), rule));
  if ((facts.types & type::kObject) != 0) TG_TRY(add_object(facts, rule));
  if ((facts.types & type::kArray) != 0) TG_TRY(add_array(facts, rule));
  return {};
}

void SchemaCompiler::add_values(const SchemaFacts& facts, NodeId rule) {
  std::vector<std::string> texts;
  for (const json::value* value : *facts.values) texts.push_back(canonical_json(*value));
  b_.literals(rule, texts, kDone);
}

void SchemaCompiler::add_number(const SchemaFacts& facts, NodeId rule) {
  const NumberRange& range = facts.numbers;
  if (range.low || range.high) {
    add_number_range(b_, rule, range, kDone);
  } else {
    b_.call(rule, {.start = range.integer ? rules_.integer : rules_.number}, kDone, 0);
  }
}

Status SchemaCompiler::add_string(const SchemaFacts& facts, const json::value& at, NodeId rule) {
  if (facts.characters_least > facts.characters_most) return {};
  if (facts.patterns.empty()) {
    b_.call(rule, {.start = rules_.string, .least = facts.characters_least, .most = facts.characters_most}, kDone, 0);
    return {};
  }
  TG_ASSIGN(const NodeId start, pattern_rule(facts, at));
  b_.call(rule, {.start = start}, kDone, 0);
  return {};
}

Result<NodeId> SchemaCompiler::pattern_rule(const SchemaFacts& facts, const json::value& at) {
  std::string key = fmt::format("{} {}", facts.characters_least, facts.characters_most);
  for (const std::string& pattern : facts.patterns) key += "\n" + pattern;
  const auto found = pattern_rules_.find(key);
  if (found != pattern_rules_.end()) return found->second;

  const auto compiled = [&]() -> Result<ByteDfa> {
    std::optional<ByteDfa> all;
    const auto add = [&](Result<ByteDfa> one) -> Status {
      if (!one) return fail(std::move(one).error());
      if (!all) {
        all = *std::move(one);
        return {};
      }
      TG_ASSIGN(all, intersection(*all, *one, budget_));
      return {};
    };
    for (const std::string& pattern : facts.patterns) {
      if (pattern.size() > limits_.pattern_bytes_max) {
        return fail(Code::kInvalidArgument, "pattern_too_complex",
                    fmt::format("the pattern has {} bytes; at most {} are supported", pattern.size(),
                                limits_.pattern_bytes_max));
      }
      TG_ASSIGN(const Regex regex, parse_regex(pattern));
      TG_TRY(add(compile_regex(regex, budget_)));
    }
    if (facts.characters_least > 0 || facts.characters_most != kUnbounded) {
      TG_TRY(add(any_text(facts.characters_least, facts.characters_most, budget_)));
    }
    return *std::move(all);
  };
  const Result<ByteDfa> dfa = compiled();
  if (!dfa) return document_->error(dfa.error().reason, dfa.error().message, at, "pattern");
  pattern_states_ += dfa->states.size();
  if (pattern_states_ > budget_.states_max) {
    return document_->error("pattern_too_complex",
                            fmt::format("the patterns and formats so far need {} states; at most {} are supported",
                                        pattern_states_, budget_.states_max),
                            at, "pattern");
  }
  const NodeId start = b_.node();
  add_string_of(b_, start, *dfa, kDone);
  pattern_rules_.emplace(std::move(key), start);
  return start;
}

// Declared properties in their order, each at most once, then the others. Place n: the first n are behind us.
//   after[n]  a member was written; ',' or '}' comes next
//   keys[n]   a key comes next, of property n or, past optional ones, of a later one
Status SchemaCompiler::add_object(const SchemaFacts& facts, NodeId rule) {
  const std::size_t count = facts.properties.size();
  const NodeId opened = b_.node();
  b_.edge(rule, '{', opened, Op::kOpen);
  std::vector<NodeId> keys, after;
  for (std::size_t n = 0; n <= count; ++n) {
    keys.push_back(b_.node());
    after.push_back(b_.node());
  }
  std::vector<bool> may_close(count + 1, true);
  for (std::size_t n = count; n-- > 0;) may_close[n] = may_close[n + 1] && !facts.properties[n].required;

  const NodeId first = optional_space(b_, opened);
  b_.empty(first, keys[0]);
  if (may_close[0]) b_.edge(first, '}', kDone);
  for (std::size_t n = 0; n <= count && !b_.full(); ++n) {
    if (n > 0 || facts.other_properties) {
      const NodeId comma = b_.node();
      b_.edge(after[n], ',', comma);
      b_.empty(optional_space(b_, comma), keys[n]);
      if (may_close[n]) {
        const NodeId space = b_.node();
        b_.edge(after[n], ' ', space);
        b_.edge(space, '}', kDone);
        b_.edge(after[n], '}', kDone);
      }
    }
    if (n == count) break;
    const SchemaFacts::Property& property = facts.properties[n];
    const NodeId colon = b_.node();
    b_.literal(keys[n], "\"" + canonical_text(property.name) + "\":", colon);
    TG_ASSIGN(const Target value, rule_of(property.schemas));
    b_.call(optional_space(b_, colon), value, after[n + 1], 1);
    if (!property.required) b_.empty(keys[n], keys[n + 1]);
  }
  if (!facts.other_properties) return {};

  std::vector<std::string> names;
  for (const SchemaFacts::Property& property : facts.properties) names.push_back(property.name);
  const NodeId key = b_.node(), key_end = b_.node(), colon = b_.node();
  if (names.empty()) {
    b_.call(keys[count], {.start = rules_.string}, key_end, 0);
  } else {
    b_.edge(keys[count], '"', key);
    add_other_key(b_, rules_, key, names, key_end);
  }
  b_.edge(key_end, ':', colon);
  TG_ASSIGN(const Target value, rule_of(facts.other_property));
  b_.call(optional_space(b_, colon), value, after[count], 1);
  return {};
}

// Items with schemas of their own are spelled out; the rest is a loop that counts. An array that must have items of
// the loop has no way around the first of them, so that the shortest way to the end (Node::need) is the true one.
Status SchemaCompiler::add_array(const SchemaFacts& facts, NodeId rule) {
  if (facts.items_least > facts.items_most) return {};
  const auto first_count =
      static_cast<std::uint32_t>(std::min<std::size_t>(facts.first_items.size(), facts.items_most));
  const bool loops = facts.more_items && facts.items_most > first_count;
  const Target counted{.start = b_.node(),
                       .least = facts.items_least - std::min(facts.items_least, first_count),
                       .most = facts.items_most == kUnbounded ? kUnbounded : facts.items_most - first_count};
  b_.call(rule, counted, kDone, 0);

  const auto close = [&](NodeId at, Op op) {
    const NodeId space = b_.node();
    b_.edge(at, ' ', space, op);
    b_.edge(space, ']', kDone);
    b_.edge(at, ']', kDone, op);
  };
  const NodeId opened = b_.node();
  b_.edge(counted.start, '[', opened, Op::kOpen);
  NodeId next = optional_space(b_, opened);  // an item may come here
  if (facts.items_least == 0) b_.edge(next, ']', kDone);
  NodeId after = kDone;
  for (std::uint32_t n = 0; n < first_count && !b_.full(); ++n) {
    TG_ASSIGN(const Target item, rule_of(facts.first_items[n]));
    after = b_.node();
    b_.call(next, item, after, 1);
    if (n + 1 >= facts.items_least) close(after, Op::kNone);
    if (n + 1 == first_count) break;
    const NodeId comma = b_.node();
    b_.edge(after, ',', comma);
    next = optional_space(b_, comma);
  }
  if (!loops) return {};
  TG_ASSIGN(const Target item, rule_of(facts.more_item));
  const NodeId looped = b_.node(), comma = b_.node();
  if (first_count == 0) {
    b_.call(next, item, looped, 1, Op::kTake);
  } else {
    b_.edge(after, ',', comma, Op::kTake);
  }
  b_.edge(looped, ',', comma, Op::kTake);
  b_.call(optional_space(b_, comma), item, looped, 1);
  close(looped, Op::kStop);
  return {};
}

}  // namespace tidegate::worker::grammar
