#include "worker/tokenizer/qwen_prompt.h"

#include <string>

#include "base/json/json_dump.h"

namespace tidegate::worker {
namespace {

std::string as_json(std::string_view text) {
  return json::dump(json::value(json::string(text.data(), text.size())));
}

/// Arguments that are no JSON stay what they are: a text.
std::string spaced(const std::string& arguments) {
  const auto parsed = json::parse(arguments);
  return parsed ? json::dump(*parsed, json::Spacing::kSpace) : as_json(arguments);
}

class QwenPrompt {
 public:
  QwenPrompt(const QwenTokens& tokens, PromptWriter& out) : tokens_(tokens), out_(out) {}

  void write(std::string_view system, std::span<const ChatMessage> messages, std::span<const ToolSpec> tools) {
    const bool has_system = !messages.empty() && messages.front().role == Role::kSystem;
    begin("system\n");
    out_.text(has_system ? std::string_view(messages.front().content) : system);
    if (!tools.empty()) write_tools(tools);
    end();
    const ChatMessage* opening = opening_of(messages);
    for (std::size_t i = has_system ? 1 : 0; i < messages.size(); ++i) {
      if (&messages[i] == opening) break;
      const bool is_last_output = i + 1 == messages.size() || messages[i + 1].role != Role::kTool;
      const bool is_first_output = i == 0 || messages[i - 1].role != Role::kTool;
      switch (messages[i].role) {
        case Role::kSystem: write_turn("system\n", messages[i]); break;
        case Role::kUser: write_turn("user\n", messages[i]); break;
        case Role::kAssistant: write_answer(messages[i]); break;
        case Role::kTool:
          if (is_first_output) begin("user");
          out_.text("\n<tool_response>\n");
          out_.text(messages[i].content);
          out_.text("\n</tool_response>");
          if (is_last_output) end();
          break;
      }
    }
    begin("assistant\n");
    if (opening != nullptr) out_.text(opening->content);
  }

 private:
  void begin(std::string_view role) {
    out_.control(tokens_.turn_begin);
    out_.text(role);
  }
  void end() {
    out_.control(tokens_.turn_end);
    out_.text("\n");
  }
  void write_turn(std::string_view role, const ChatMessage& message) {
    begin(role);
    out_.text(message.content);
    end();
  }

  void write_tools(std::span<const ToolSpec> tools) {
    out_.text(
        "\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
        "You are provided with function signatures within <tools></tools> XML tags:\n<tools>");
    for (const ToolSpec& tool : tools) {
      out_.text("\n{\"type\": \"function\", \"function\": {\"name\": ");
      out_.text(as_json(tool.name));
      out_.text(", \"description\": ");
      out_.text(as_json(tool.description));
      out_.text(", \"parameters\": ");
      out_.text(tool.parameters.empty() ? std::string_view("{}") : std::string_view(tool.parameters));
      out_.text("}}");
    }
    out_.text("\n</tools>\n\nFor each function call, return a json object with function name and arguments within ");
    out_.control(tokens_.call_begin);
    out_.control(tokens_.call_end);
    out_.text(" XML tags:\n");
    out_.control(tokens_.call_begin);
    out_.text("\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n");
    out_.control(tokens_.call_end);
  }

  void write_answer(const ChatMessage& message) {
    if (message.tool_calls.empty()) return write_turn("assistant\n", message);
    begin("assistant");
    if (!message.content.empty()) {
      out_.text("\n");
      out_.text(message.content);
    }
    for (const ToolCall& call : message.tool_calls) {
      out_.text("\n");
      out_.control(tokens_.call_begin);
      out_.text("\n{\"name\": \"");
      out_.text(call.name);
      out_.text("\", \"arguments\": ");
      out_.text(spaced(call.arguments));
      out_.text("}\n");
      out_.control(tokens_.call_end);
    }
    end();
  }

  const QwenTokens& tokens_;
  PromptWriter& out_;
};

}  // namespace

void write_qwen_prompt(const QwenTokens& tokens, std::string_view system, std::span<const ChatMessage> messages,
                       std::span<const ToolSpec> tools, PromptWriter& out) {
  QwenPrompt(tokens, out).write(system, messages, tools);
}

}  // namespace tidegate::worker
