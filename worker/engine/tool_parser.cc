#include "worker/engine/tool_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/json/json.h"

namespace tidegate::worker {
namespace {

constexpr std::string_view kFenceEnd = "\n```";
constexpr std::size_t kNameBytesMax = 64;

bool is_name(std::string_view name) {
  if (name.empty() || name.size() > kNameBytesMax) return false;
  return std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

std::string_view spelled(ToolSyntax syntax, ToolMark mark) {
  if (syntax == ToolSyntax::kHermes) return mark == ToolMark::kCallEnd ? "</tool_call>" : "<tool_call>";
  switch (mark) {
    case ToolMark::kCallsBegin: return "<｜tool▁calls▁begin｜>";
    case ToolMark::kCallsEnd: return "<｜tool▁calls▁end｜>";
    case ToolMark::kCallBegin: return "<｜tool▁call▁begin｜>";
    case ToolMark::kCallEnd: return "<｜tool▁call▁end｜>";
    case ToolMark::kSeparator: return "<｜tool▁sep｜>";
  }
  return {};
}

/// Whether this may be, or may become, the end of a fence.
bool may_end_fence(std::string_view text) {
  if (text.size() <= kFenceEnd.size()) return kFenceEnd.starts_with(text);
  return text.starts_with(kFenceEnd) && trimmed(text.substr(kFenceEnd.size())).empty();
}

/// The head of a fenced call behind its separator: a name on a line of its own, and what may open the fence.
std::string_view fenced_name(std::string_view head) {
  const std::size_t line_end = std::min(head.find('\n'), head.size());
  const std::string_view name = trimmed(head.substr(0, line_end));
  const std::string_view fence = trimmed(head.substr(line_end));
  const bool is_fence = fence.empty() || fence == "```json" || fence == "```";
  return is_fence && is_name(name) ? name : std::string_view();
}

}  // namespace

ToolParser::ToolParser(ToolSyntax syntax, std::string id_suffix, Limits limits)
    : syntax_(syntax), id_suffix_(std::move(id_suffix)), limits_(limits) {}

ToolParser::Output ToolParser::on_text(std::string_view text) {
  Output out;
  for (const char c : text) {
    if (is_over_) break;
    on_byte(c, out);
  }
  return out;
}

void ToolParser::on_byte(char c, Output& out) {
  switch (at_) {
    case At::kContent:
    case At::kBetween: add_content(std::string_view(&c, 1), out); break;
    case At::kHead: in_head(c, out); break;
    case At::kArguments: in_arguments(c, out); break;
    case At::kBroken:
      if (syntax_ != ToolSyntax::kDeepSeekFenced) {
        add_arguments(std::string_view(&c, 1), out);
        break;
      }
      in_broken(c, out);
      break;
    case At::kTail:
      // The end of the fence, or of the object around the arguments.
      if (syntax_ != ToolSyntax::kHermes && c != '`') add_content(std::string_view(&c, 1), out);
      break;
  }
}

ToolParser::Output ToolParser::on_mark(ToolMark mark) {
  Output out;
  if (is_over_) return out;
  const bool is_in_call = at_ != At::kContent && at_ != At::kBetween;
  switch (mark) {
    case ToolMark::kCallsBegin:
      if (is_in_call) end_call(out);
      at_ = At::kBetween;
      break;
    case ToolMark::kCallsEnd:
      if (is_in_call) end_call(out);
      at_ = At::kContent;
      break;
    case ToolMark::kCallBegin:
      if (is_in_call) end_call(out);
      begin_call();
      break;
    case ToolMark::kCallEnd:
      if (!is_in_call) {
        add_content(spelled(syntax_, mark), out);
        break;
      }
      if (at_ == At::kHead) held_ += spelled(syntax_, mark);
      end_call(out);
      break;
    case ToolMark::kSeparator:
      if (at_ == At::kHead && !has_separator_) {
        held_ += spelled(syntax_, mark);
        has_separator_ = true;
        if (syntax_ == ToolSyntax::kDeepSeekPlain) name_ = trimmed(head_);
        head_.clear();
        break;
      }
      for (const char c : spelled(syntax_, mark)) on_byte(c, out);
      break;
  }
  return out;
}

ToolParser::Output ToolParser::finish() {
  Output out;
  if (is_over_) return out;
  if (at_ == At::kHead) give_up(out);
  if (at_ == At::kBroken) add_arguments(std::exchange(fence_, {}), out);
  if (calls_ == 0) release_blanks(out);
  return out;
}

void ToolParser::add_content(std::string_view text, Output& out) {
  for (const char c : text) {
    if (c == '\n' || (calls_ > 0 && is_blank(c))) {
      blanks_ += c;
      continue;
    }
    release_blanks(out);
    out.content += c;
  }
}

void ToolParser::release_blanks(Output& out) {
  out.content += blanks_;
  blanks_.clear();
}

void ToolParser::begin_call() {
  if (calls_ >= limits_.calls_max || (!limits_.is_parallel && calls_ > 0)) {
    is_over_ = true;
    return;
  }
  at_ = At::kHead;
  held_ = std::exchange(blanks_, {});
  held_ += spelled(syntax_, ToolMark::kCallBegin);
  head_.clear();
  has_separator_ = false;
  name_.clear();
  scanner_ = JsonScanner();
  fence_.clear();
  hermes_ = Hermes::kOpen;
  key_.clear();
  value_.clear();
  early_.clear();
}

void ToolParser::end_call(Output& out) {
  const At next = syntax_ == ToolSyntax::kHermes ? At::kContent : At::kBetween;
  if (at_ == At::kHead) {
    // A function that takes nothing may be called without arguments.
    if (syntax_ == ToolSyntax::kDeepSeekFenced && has_separator_) name_ = fenced_name(head_);
    const bool is_complete = syntax_ != ToolSyntax::kHermes && has_separator_ && is_name(name_) &&
                             (syntax_ == ToolSyntax::kDeepSeekFenced || trimmed(head_).empty());
    if (is_complete) {
      begin_arguments(out);
      add_arguments("{}", out);
    } else {
      give_up(out);
    }
  }
  if (at_ == At::kBroken && !fence_.starts_with(kFenceEnd)) add_arguments(fence_, out);
  fence_.clear();
  at_ = next;
}

void ToolParser::give_up(Output& out) {
  release_blanks(out);
  out.content += held_;
  held_.clear();
  at_ = syntax_ == ToolSyntax::kHermes ? At::kContent : At::kBetween;
}

void ToolParser::in_head(char c, Output& out) {
  if (syntax_ == ToolSyntax::kHermes) return in_hermes_head(c, out);
  if (c == '{' && has_separator_) {
    if (syntax_ == ToolSyntax::kDeepSeekFenced) name_ = fenced_name(head_);
    const bool is_good =
        is_name(name_) && (syntax_ == ToolSyntax::kDeepSeekFenced || trimmed(head_).empty());
    if (!is_good) {
      held_ += c;
      return give_up(out);
    }
    begin_arguments(out);
    return in_arguments(c, out);
  }
  held_ += c;
  head_ += c;
}

void ToolParser::in_hermes_head(char c, Output& out) {
  const bool is_arguments = key_ == "\"arguments\"" || key_ == "\"parameters\"";
  if (hermes_ == Hermes::kValue && c == '{' && value_.empty() && is_arguments && !name_.empty()) {
    begin_arguments(out);
    return in_arguments(c, out);
  }
  held_ += c;
  switch (hermes_) {
    case Hermes::kOpen:
      if (is_blank(c)) return;
      if (c != '{') return give_up(out);
      hermes_ = Hermes::kKey;
      return;
    case Hermes::kKey: {
      if (key_.empty() && is_blank(c)) return;
      if (key_.empty() && c != '"') return give_up(out);
      key_ += c;
      const JsonScanner::Step step = scanner_.feed(c);
      if (step == JsonScanner::Step::kBad) return give_up(out);
      if (step == JsonScanner::Step::kDone) hermes_ = Hermes::kColon;
      return;
    }
    case Hermes::kColon:
      if (is_blank(c)) return;
      if (c != ':') return give_up(out);
      hermes_ = Hermes::kValue;
      value_.clear();
      scanner_ = JsonScanner();
      return;
    case Hermes::kValue: {
      if (value_.empty() && is_blank(c)) return;
      const JsonScanner::Step step = scanner_.feed(c);
      if (step == JsonScanner::Step::kBad) return give_up(out);
      if (step != JsonScanner::Step::kDoneBefore) value_ += c;
      if (step == JsonScanner::Step::kMore) return;
      on_hermes_value(out);
      if (at_ != At::kHead || step == JsonScanner::Step::kDone) return;
      break;  // a number's end is the byte behind it
    }
    case Hermes::kComma: break;
  }
  if (is_blank(c)) return;
  if (c == '}' && !name_.empty()) {
    begin_arguments(out);
    add_arguments("{}", out);
    at_ = At::kTail;
    return;
  }
  if (c != ',') return give_up(out);
  hermes_ = Hermes::kKey;
  key_.clear();
  scanner_ = JsonScanner();
}

/// A member is whole. Once name and arguments are there, the call is told.
void ToolParser::on_hermes_value(Output& out) {
  hermes_ = Hermes::kComma;
  if (key_ == "\"name\"") {
    const auto name = json::parse(value_);
    name_ = name && name->is_string() ? std::string(name->get_string()) : std::string();
    if (!is_name(name_)) return give_up(out);
  } else if (key_ == "\"arguments\"" || key_ == "\"parameters\"") {
    early_ = value_;
    // Some models write the object into a string; null is a call without arguments.
    if (value_.front() == '"') {
      const auto text = json::parse(value_);
      early_ = text && text->is_string() ? std::string(text->get_string()) : std::string();
    }
    if (early_ == "null" || trimmed(early_).empty()) early_ = "{}";
    if (early_.front() != '{') return give_up(out);
  }
  if (name_.empty() || early_.empty()) return;
  begin_arguments(out);
  add_arguments(early_, out);
  at_ = At::kTail;
}

void ToolParser::begin_arguments(Output& out) {
  at_ = At::kArguments;
  held_.clear();
  scanner_ = JsonScanner();
  out.calls.push_back({calls_, fmt::format("call_{:02}_{}", calls_, id_suffix_), name_, {}});
  ++calls_;
}

void ToolParser::in_arguments(char c, Output& out) {
  switch (scanner_.feed(c)) {
    case JsonScanner::Step::kMore: add_arguments(std::string_view(&c, 1), out); break;
    case JsonScanner::Step::kDone:
      add_arguments(std::string_view(&c, 1), out);
      at_ = At::kTail;
      break;
    case JsonScanner::Step::kDoneBefore:
    case JsonScanner::Step::kBad:
      at_ = At::kBroken;
      on_byte(c, out);
      break;
  }
}

void ToolParser::in_broken(char c, Output& out) {
  fence_ += c;
  // Behind a whole end a blank changes nothing: a long row of them is not looked at from its beginning each time.
  if (fence_.size() > kFenceEnd.size() && is_blank(c)) return;
  std::size_t told = 0;
  while (!may_end_fence(std::string_view(fence_).substr(told))) ++told;
  add_arguments(std::string_view(fence_).substr(0, told), out);
  fence_.erase(0, told);
}

void ToolParser::add_arguments(std::string_view text, Output& out) {
  if (text.empty()) return;
  if (out.calls.empty() || out.calls.back().index + 1 != calls_) out.calls.push_back({calls_ - 1, {}, {}, {}});
  out.calls.back().arguments += text;
}

}  // namespace tidegate::worker
