#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/core/result.h"
#include "base/json/json.h"
#include "worker/engine/grammar/byte_dfa.h"
#include "worker/engine/grammar/json_rules.h"
#include "worker/engine/grammar/schema_facts.h"

namespace tidegate::worker::grammar {

/// JSON schema to rules of an automaton. Every place of the schema becomes one rule however often it is referred to, so
/// recursion costs nothing and a small schema cannot ask for a large automaton by references.
class SchemaCompiler {
 public:
  struct Limits {
    std::size_t alternatives_max = 0;
    std::size_t rules_max = 0;
    std::size_t pattern_bytes_max = 0;
  };
  SchemaCompiler(AutomatonBuilder& builder, const JsonRules& rules, Limits limits, PatternBudget budget)
      : b_(builder), rules_(rules), limits_(limits), budget_(budget) {}

  /// The rule of a whole document, which must live until this returns. May be called for several.
  Result<Target> compile(const json::value& schema);

 private:
  Result<const json::value*> referred(const json::value* schema) const;
  Result<Target> rule_of(Schemas schemas);
  Status fill(const Schemas& schemas, NodeId rule);
  Status add_choices(const FlatSchema& flat, NodeId rule);
  Status add_plain(const Schemas& plain, NodeId rule);
  void add_values(const SchemaFacts& facts, NodeId rule);
  void add_number(const SchemaFacts& facts, NodeId rule);
  Status add_string(const SchemaFacts& facts, const json::value& at, NodeId rule);
  Result<NodeId> pattern_rule(const SchemaFacts& facts, const json::value& at);
  Status add_object(const SchemaFacts& facts, NodeId rule);
  Status add_array(const SchemaFacts& facts, NodeId rule);
  Status too_many(std::string_view what, std::size_t limit) const;

  AutomatonBuilder& b_;
  JsonRules rules_;
  Limits limits_;
  PatternBudget budget_;
  const SchemaDocument* document_ = nullptr;
  std::size_t alternatives_ = 0;
  std::size_t pattern_states_ = 0;
  std::map<Schemas, NodeId> known_;
  std::vector<std::pair<Schemas, NodeId>> open_;  ///< rules whose inside is still to be written
  std::map<std::string, NodeId> pattern_rules_;
};

}  // namespace tidegate::worker::grammar
