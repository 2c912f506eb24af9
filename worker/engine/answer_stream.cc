#include "worker/engine/answer_stream.h"

#include <utility>

namespace tidegate::worker {

AnswerStream::Text AnswerStream::on_token(std::string_view bytes) {
  std::string text = decoder_.feed(bytes);
  if (in_reasoning_) return {reasoning_text(std::move(text)), {}};
  return {{}, content_text(std::move(text))};
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
  std::string text = content_text(std::move(tail));
  if (!stops_.stopped()) text += stops_.finish();
  return {{}, std::move(text)};
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

std::string AnswerStream::content_text(std::string text) {
  if (!content_began_) {
    text.erase(0, std::min(text.find_first_not_of('\n'), text.size()));
    content_began_ = !text.empty();
  }
  return stops_.feed(text);
}

}  // namespace tidegate::worker
