#include "worker/engine/answer_stream.h"

#include <algorithm>
#include <utility>

namespace tidegate::worker {

AnswerStream::Text AnswerStream::on_token(std::string_view bytes) {
  std::string text = decoder_.feed(bytes);
  has_said_ = true;
  if (in_reasoning_) return {reasoning_text(std::move(text)), {}};
  return content_text(std::move(text));
}

void AnswerStream::on_think() {
  if (has_said_ || in_reasoning_) return;
  in_reasoning_ = true;
  content_began_ = false;
}

AnswerStream::Text AnswerStream::on_mark(ToolMark mark) {
  if (in_reasoning_ || !tools_) return {};
  Text out = content_text(decoder_.finish());
  Text marked = shown(tools_->on_mark(mark));
  content_began_ = true;
  out.content += marked.content;
  append_calls(out.calls, std::move(marked.calls));
  return out;
}

AnswerStream::Text AnswerStream::on_think_end() {
  if (!in_reasoning_) return {};
  Text out{reasoning_text(decoder_.finish()), {}};
  line_breaks_.clear();
  in_reasoning_ = false;
  return out;
}

AnswerStream::Text AnswerStream::finish() {
  std::string tail = decoder_.finish();
  if (in_reasoning_) {
    std::string text = reasoning_text(std::move(tail));
    return {text + std::exchange(line_breaks_, {}), {}};
  }
  Text out = content_text(std::move(tail));
  if (tools_) {
    Text last = shown(tools_->finish());
    out.content += last.content;
    append_calls(out.calls, std::move(last.calls));
  }
  if (!stops_.stopped()) out.content += stops_.finish();
  return out;
}

std::string AnswerStream::reasoning_text(std::string text) {
  if (text.empty()) return text;
  text.insert(0, std::exchange(line_breaks_, {}));
  const std::size_t last = text.find_last_not_of('\n');
  const std::size_t keep = last == std::string::npos ? 0 : last + 1;
  line_breaks_ = text.substr(keep);
  text.resize(keep);
  return text;
}

AnswerStream::Text AnswerStream::content_text(std::string text) {
  if (!content_began_) {
    text.erase(0, std::min(text.find_first_not_of('\n'), text.size()));
    content_began_ = !text.empty();
  }
  if (!tools_) return {{}, stops_.feed(text)};
  return shown(tools_->on_text(text));
}

/// A stop string ends the answer, and calls behind it are not part of it.
AnswerStream::Text AnswerStream::shown(ToolParser::Output out) {
  if (stops_.stopped()) return {};
  Text text;
  text.content = stops_.feed(out.content);
  if (!stops_.stopped()) text.calls = std::move(out.calls);
  return text;
}

}  // namespace tidegate::worker
