#include "worker/engine/grammar/grammar.h"

#include <fmt/format.h>

#include <set>
#include <utility>

#include "base/core/check.h"
#include "base/json/json.h"
#include "worker/engine/grammar/automaton_builder.h"
#include "worker/engine/grammar/json_rules.h"
#include "worker/engine/grammar/schema_compiler.h"

namespace tidegate::worker::grammar {
namespace {

AutomatonBuilder::Limits builder_limits(const GrammarLimits& limits) {
  return {.nodes_max = limits.nodes_max, .edges_max = limits.edges_max, .nesting_max = limits.nesting_max};
}

SchemaCompiler compiler(AutomatonBuilder& builder, const JsonRules& rules, const GrammarLimits& limits) {
  const SchemaCompiler::Limits own{.alternatives_max = limits.alternatives_max,
                                   .rules_max = limits.rules_max,
                                   .pattern_bytes_max = limits.pattern_bytes_max};
  return {builder, rules, own, {.states_max = limits.pattern_states_max, .work_left = limits.pattern_work_max}};
}

Result<json::value> parse_schema(std::string_view text, const GrammarLimits& limits) {
  if (text.size() > limits.schema_bytes_max) {
    return fail(Code::kInvalidArgument, "schema_too_large",
                fmt::format("the schema has {} bytes; at most {} are accepted", text.size(), limits.schema_bytes_max));
  }
  return json::parse(text, limits.schema_depth_max);
}

std::string key_of(std::string_view kind, std::string_view text, const GrammarLimits& limits) {
  return fmt::format("{}\n{}\n{}", kind, limits.nesting_max, text);
}

// The shared rules alone: nothing in them can fail.
Grammar::Pointer json_grammar(std::string_view kind, NodeId JsonRules::*rule, const GrammarLimits& limits) {
  AutomatonBuilder builder(builder_limits(limits));
  const JsonRules rules = add_json_rules(builder);
  auto automaton = builder.finish({.start = rules.*rule});
  TG_CHECK(automaton.has_value());
  return std::make_shared<const Grammar>(*std::move(automaton), key_of(kind, "", limits));
}

NodeId add_frame(AutomatonBuilder& builder, NodeId from, const std::vector<FramePiece>& pieces) {
  for (const FramePiece& piece : pieces) {
    const NodeId next = builder.node();
    builder.literal(from, piece.control ? kControlByte + piece.text : piece.text, next);
    from = next;
  }
  return from;
}

std::string framing_key(const ToolFraming& framing) {
  std::string key;
  for (const auto* pieces : {&framing.before_calls, &framing.before_name, &framing.before_arguments,
                             &framing.after_arguments, &framing.between_calls, &framing.after_calls}) {
    for (const FramePiece& piece : *pieces)
      key += fmt::format("{}{}:{}", piece.control ? 'c' : 't', piece.text.size(), piece.text);
    key += ';';
  }
  return key;
}

Status check_framing(const ToolFraming& framing, ToolMode mode) {
  for (const auto* pieces : {&framing.before_calls, &framing.before_name, &framing.before_arguments,
                             &framing.after_arguments, &framing.between_calls, &framing.after_calls}) {
    for (const FramePiece& piece : *pieces) {
      if (piece.text.empty() || piece.text.find(kControlByte) != std::string::npos)
        return fail(Code::kInvalidArgument, "schema_invalid",
                    "a piece of the framing of tool calls is empty or no text", "framing");
    }
  }
  const std::vector<FramePiece>& begin = framing.before_calls.empty() ? framing.before_name : framing.before_calls;
  if (mode == ToolMode::kAuto && (begin.empty() || !begin[0].control)) {
    return fail(Code::kInvalidArgument, "schema_invalid",
                "calls after free text must begin with a control token, or text could not be told from them",
                "framing");
  }
  return {};
}

}  // namespace

ToolFraming ToolFraming::deepseek_v3() {
  return {.before_calls = {{"<｜tool▁calls▁begin｜>", true}},
          .before_name = {{"<｜tool▁call▁begin｜>", true}, {"function"}, {"<｜tool▁sep｜>", true}},
          .before_arguments = {{"\n```json\n"}},
          .after_arguments = {{"\n```"}, {"<｜tool▁call▁end｜>", true}},
          .between_calls = {{"\n"}},
          .after_calls = {{"<｜tool▁calls▁end｜>", true}}};
}

ToolFraming ToolFraming::deepseek_v31() {
  return {.before_calls = {{"<｜tool▁calls▁begin｜>", true}},
          .before_name = {{"<｜tool▁call▁begin｜>", true}},
          .before_arguments = {{"<｜tool▁sep｜>", true}},
          .after_arguments = {{"<｜tool▁call▁end｜>", true}},
          .between_calls = {},
          .after_calls = {{"<｜tool▁calls▁end｜>", true}}};
}

Result<Grammar::Pointer> Grammar::from_json_schema(std::string_view schema_json, const GrammarLimits& limits) {
  TG_ASSIGN(const json::value schema, parse_schema(schema_json, limits));
  AutomatonBuilder builder(builder_limits(limits));
  const JsonRules rules = add_json_rules(builder);
  TG_ASSIGN(const Target root, compiler(builder, rules, limits).compile(schema));
  TG_ASSIGN(Automaton automaton, builder.finish(root));
  return std::make_shared<const Grammar>(std::move(automaton), key_of("schema", schema_json, limits));
}

Grammar::Pointer Grammar::json_object(const GrammarLimits& limits) {
  return json_grammar("object", &JsonRules::object, limits);
}

Grammar::Pointer Grammar::json_value(const GrammarLimits& limits) {
  return json_grammar("value", &JsonRules::value, limits);
}

Result<Grammar::Pointer> Grammar::from_tool_calls(std::span<const ToolSignature> tools, ToolMode mode,
                                                  const ToolFraming& framing, std::uint32_t calls_max,
                                                  const GrammarLimits& limits) {
  TG_TRY(check_framing(framing, mode));
  if (tools.empty() || tools.size() > limits.tools_max || calls_max == 0) {
    return fail(Code::kInvalidArgument, "schema_invalid",
                fmt::format("there must be 1 to {} tools and at least one call", limits.tools_max), "tools");
  }
  AutomatonBuilder builder(builder_limits(limits));
  const JsonRules rules = add_json_rules(builder);
  SchemaCompiler compile = compiler(builder, rules, limits);
  const auto frame = [&](NodeId from, const std::vector<FramePiece>& pieces) {
    return add_frame(builder, from, pieces);
  };

  std::string text =
      framing_key(framing) + fmt::format("{} {}", mode == ToolMode::kAuto ? "auto" : "required", calls_max);
  const NodeId root = builder.node(), calls = builder.node(), called = builder.node();
  // The frame of `calls` counts the calls that are left.
  builder.call(root, {.start = calls, .least = 0, .most = calls_max}, kDone, 0);
  if (mode == ToolMode::kAuto) {
    builder.accept(root);
    builder.edge(root, 0x00, 0xF4, root);  // text: the engine's decoder judges its UTF-8, as for free answers
  }
  const NodeId before_name = builder.node();
  const NodeId first = frame(calls, framing.before_calls);
  builder.call(first, {.start = before_name}, called, 0, Op::kTake);
  std::set<std::string> names;
  const NodeId name = frame(before_name, framing.before_name);
  for (std::size_t n = 0; n < tools.size(); ++n) {
    const std::string place = fmt::format("tools[{}].parameters", n);
    if (tools[n].name.empty() || !names.insert(tools[n].name).second)
      return fail(Code::kInvalidArgument, "schema_invalid", "every tool needs a name of its own",
                  fmt::format("tools[{}].name", n));
    text += fmt::format("\n{}:{}:{}", tools[n].name.size(), tools[n].name, tools[n].parameters_json);
    const NodeId named = builder.node(), filled = builder.node();
    builder.literal(name, tools[n].name, named);
    Target arguments{.start = rules.object};
    json::value schema;  // outlives its compilation
    if (!tools[n].parameters_json.empty()) {
      auto parsed = parse_schema(tools[n].parameters_json, limits);
      if (parsed) schema = *std::move(parsed);
      auto compiled = parsed ? compile.compile(schema) : Result<Target>(fail(std::move(parsed).error()));
      if (!compiled) {
        Error error = std::move(compiled).error();
        error.message = place + ": " + error.message;
        error.field = place + error.field;
        return fail(std::move(error));
      }
      arguments = *compiled;
    }
    builder.call(frame(named, framing.before_arguments), arguments, filled, 0);
    builder.empty(frame(filled, framing.after_arguments), kDone);
  }
  const NodeId again = builder.node();
  const NodeId next = frame(called, framing.between_calls);
  builder.empty(next, again);
  builder.call(again, {.start = before_name}, called, 0, Op::kTake);
  builder.empty(frame(called, framing.after_calls), kDone);
  TG_ASSIGN(Automaton automaton, builder.finish({.start = root}));
  return std::make_shared<const Grammar>(std::move(automaton), key_of("tools", text, limits));
}

}  // namespace tidegate::worker::grammar
