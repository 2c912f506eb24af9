#include "worker/engine/requested_grammar.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "worker/engine/grammar/grammar.h"

namespace tidegate::worker {
namespace {

/// As many as an answer may have (tool_parser.h).
constexpr std::uint32_t kCallsMax = 128;

std::unexpected<Error> unsupported(std::string field, std::string_view fix) {
  std::string message = "'" + field + "' asks for an answer of a form that this model's engine cannot keep; ";
  message += fix;
  return fail(Code::kInvalidArgument, "unsupported_response_format", std::move(message), std::move(field));
}

/// A grammar's own error: it names the keyword, and its field is the place in the schema.
std::unexpected<Error> unsupported_schema(std::string field, const Error& error) {
  std::string fix = "change its schema: " + error.message;
  if (!error.field.empty()) fix += " (at " + error.field + ")";
  return unsupported(std::move(field), fix);
}

/// Qwen2.5: a call is an object in a pair of control tokens, on lines of its own.
grammar::ToolFraming hermes() {
  grammar::ToolFraming framing;
  framing.before_name = {{"<tool_call>", true}, {"\n{\"name\": \""}};
  framing.before_arguments = {{"\", \"arguments\": "}};
  framing.after_arguments = {{"}\n"}, {"</tool_call>", true}};
  framing.between_calls = {{"\n"}};
  return framing;
}

grammar::ToolFraming framing_of(ToolSyntax syntax) {
  if (syntax == ToolSyntax::kDeepSeekFenced) return grammar::ToolFraming::deepseek_v3();
  if (syntax == ToolSyntax::kDeepSeekPlain) return grammar::ToolFraming::deepseek_v31();
  return hermes();
}

Result<std::shared_ptr<const grammar::Grammar>> calls_of(const ToolOffer& offer, ToolSyntax syntax) {
  if (syntax == ToolSyntax::kNone) return unsupported("tool_choice", "leave the choice to the model ('auto').");
  const bool is_one = offer.choice.mode == ToolChoice::Mode::kFunction;
  std::vector<grammar::ToolSignature> tools;
  for (const ToolSpec& tool : offer.tools) {
    if (!is_one || tool.name == offer.choice.name) tools.push_back({tool.name, tool.parameters});
  }
  const std::uint32_t calls_max = is_one || !offer.is_parallel ? 1 : kCallsMax;
  auto compiled =
      grammar::Grammar::from_tool_calls(tools, grammar::ToolMode::kRequired, framing_of(syntax), calls_max);
  if (!compiled) return unsupported_schema("tools", compiled.error());
  return *std::move(compiled);
}

/// The model may call or not; if it does, something was promised of the call.
bool is_held_to_its_tools(const ToolOffer& offer, ToolSyntax syntax) {
  return offer.choice.mode == ToolChoice::Mode::kAuto && syntax != ToolSyntax::kNone &&
         offer.format.kind == ResponseFormat::Kind::kText && std::ranges::any_of(offer.tools, &ToolSpec::strict);
}

/// Of the tool that an error of from_tool_calls() speaks of; nullopt: of all together.
std::optional<std::size_t> tool_of(const Error& error) {
  constexpr std::string_view kBegin = "tools[";
  std::size_t index = 0;
  if (!error.field.starts_with(kBegin)) return std::nullopt;
  const auto parsed = std::from_chars(error.field.data() + kBegin.size(), error.field.data() + error.field.size(), index);
  return parsed.ec == std::errc() ? std::optional(index) : std::nullopt;
}

/// A schema that this engine cannot keep is left to whoever reads the call: the request is not refused for it, as a forced call would be.
std::shared_ptr<const grammar::Grammar> perhaps_calls_of(const ToolOffer& offer, ToolSyntax syntax) {
  std::vector<grammar::ToolSignature> tools;
  for (const ToolSpec& tool : offer.tools) {
    tools.push_back({tool.name, tool.strict ? std::string_view(tool.parameters) : std::string_view()});
  }
  const std::uint32_t calls_max = offer.is_parallel ? kCallsMax : 1;
  while (true) {
    auto compiled = grammar::Grammar::from_tool_calls(tools, grammar::ToolMode::kAuto, framing_of(syntax), calls_max);
    if (compiled) return *std::move(compiled);
    const std::optional<std::size_t> bad = tool_of(compiled.error());
    if (!bad || *bad >= tools.size() || tools[*bad].parameters_json.empty()) return nullptr;
    tools[*bad].parameters_json = {};
  }
}

Result<std::shared_ptr<const grammar::Grammar>> format_of(const ResponseFormat& format) {
  if (format.schema.empty()) return grammar::Grammar::json_object();
  auto compiled = grammar::Grammar::from_json_schema(format.schema);
  if (!compiled) return unsupported_schema("response_format", compiled.error());
  return *std::move(compiled);
}

/// Equal texts ask for equal grammars; "" asks for none.
std::string form_of(const ToolOffer& offer, ToolSyntax syntax) {
  if (offer.choice.is_forced() || is_held_to_its_tools(offer, syntax)) {
    std::string form = fmt::format("calls {} {} {} {}", static_cast<int>(syntax), static_cast<int>(offer.choice.mode),
                                   offer.is_parallel, offer.choice.name);
    for (const ToolSpec& tool : offer.tools) {
      form += fmt::format("\n{} {} {} {}", tool.name, tool.strict, tool.parameters.size(), tool.parameters);
    }
    return form;
  }
  switch (offer.format.kind) {
    case ResponseFormat::Kind::kText: break;
    case ResponseFormat::Kind::kJsonObject: return "object";
    case ResponseFormat::Kind::kJsonSchema: return "schema\n" + offer.format.schema;
  }
  return {};
}

}  // namespace

Result<std::shared_ptr<const grammar::Grammar>> constraint_of(const ToolOffer& offer, ToolSyntax syntax) {
  if (offer.choice.is_forced()) return calls_of(offer, syntax);
  if (is_held_to_its_tools(offer, syntax)) return perhaps_calls_of(offer, syntax);
  switch (offer.format.kind) {
    case ResponseFormat::Kind::kText: break;
    case ResponseFormat::Kind::kJsonObject: return grammar::Grammar::json_object();
    case ResponseFormat::Kind::kJsonSchema: return format_of(offer.format);
  }
  return std::shared_ptr<const grammar::Grammar>();
}

std::shared_ptr<const grammar::Grammar> RequestedGrammars::recall(const std::string& form) {
  const auto known = std::ranges::find(kept_, form, &Kept::form);
  if (known == kept_.end()) return nullptr;
  std::rotate(kept_.begin(), known, known + 1);
  return kept_.front().grammar;
}

Result<std::shared_ptr<const grammar::Grammar>> RequestedGrammars::find(const ToolOffer& offer, ToolSyntax syntax) {
  std::string form = form_of(offer, syntax);
  if (form.empty()) return std::shared_ptr<const grammar::Grammar>();
  {
    const std::lock_guard lock(mutex_);
    if (auto known = recall(form)) return known;
  }
  TG_ASSIGN(auto made, constraint_of(offer, syntax));
  if (form.size() > kKeptBytesMax) return made;
  const std::lock_guard lock(mutex_);
  if (auto known = recall(form)) return known;  // somebody else's, made meanwhile
  kept_bytes_ += form.size();
  kept_.push_front(Kept{std::move(form), made});
  while (kept_.size() > kKeptMax || kept_bytes_ > kKeptBytesMax) {
    kept_bytes_ -= kept_.back().form.size();
    kept_.pop_back();
  }
  return made;
}

}  // namespace tidegate::worker
