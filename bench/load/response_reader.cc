#include "bench/load/response_reader.h"

#include <algorithm>
#include <charconv>

#include "base/net/http_head.h"

namespace tidegate::bench {

namespace {

constexpr std::size_t kFramingLineMax = 1024;

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

/// False when `text` does not begin with a number.
template <typename Number>
bool read_number(std::string_view text, Number& out, int base) {
  return std::from_chars(text.data(), text.data() + text.size(), out, base).ec == std::errc();
}

}  // namespace

std::size_t ResponseReader::feed(std::string_view bytes, const OnBody& on_body) {
  const std::size_t given = bytes.size();
  while (!bytes.empty() && (state_ == State::kHead || state_ == State::kBody)) {
    if (state_ == State::kHead) {
      // A head is small: byte by byte would do, but its end may also lie between two pieces.
      const std::size_t before = line_.size();
      line_ += bytes.substr(0, std::min(bytes.size(), kHeadBytesMax + 4 - std::min(before, kHeadBytesMax)));
      const std::size_t end = line_.find("\r\n\r\n", before < 3 ? 0 : before - 3);
      if (end == std::string::npos) {
        if (line_.size() >= kHeadBytesMax) state_ = State::kBroken;
        return given;
      }
      bytes.remove_prefix(end + 4 - before);
      line_.resize(end + 2);
      if (!take_head()) state_ = State::kBroken;
      line_.clear();
    } else if (framing_ == Framing::kChunked) {
      bytes.remove_prefix(feed_chunked(bytes, on_body));
    } else {
      const auto piece =
          bytes.substr(0, framing_ == Framing::kSized ? std::min<std::uint64_t>(left_, bytes.size()) : bytes.size());
      on_body(piece);
      bytes.remove_prefix(piece.size());
      if (framing_ == Framing::kSized) {
        left_ -= piece.size();
        if (left_ == 0) state_ = State::kDone;
      }
    }
  }
  return given - bytes.size();
}

void ResponseReader::on_end() {
  if (state_ == State::kDone) return;
  state_ = state_ == State::kBody && framing_ == Framing::kUntilEnd ? State::kDone : State::kBroken;
}

bool ResponseReader::take_head() {
  std::string_view head(line_);
  const std::size_t first_end = head.find("\r\n");
  const std::string_view first = head.substr(0, first_end);
  if (!first.starts_with("HTTP/1.") || first.size() < 12 || !read_number(first.substr(9, 3), status_, 10)) return false;
  closes_ = first.starts_with("HTTP/1.0");
  framing_ = Framing::kUntilEnd;
  left_ = 0;
  head.remove_prefix(first_end + 2);
  while (!head.empty()) {
    const std::size_t end = head.find("\r\n");
    take_field(head.substr(0, end));
    head.remove_prefix(end + 2);
  }
  if (status_ >= 100 && status_ < 200) {  // an interim answer: the real one follows
    status_ = 0;
    return true;
  }
  const bool is_empty = status_ == 204 || status_ == 304 || (framing_ == Framing::kSized && left_ == 0);
  state_ = is_empty ? State::kDone : State::kBody;
  if (framing_ == Framing::kUntilEnd) closes_ = true;
  return true;
}

void ResponseReader::take_field(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return;
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = trimmed(line.substr(colon + 1));
  if (equals_ignore_case(name, "content-length")) {
    if (framing_ != Framing::kChunked && read_number(value, left_, 10)) framing_ = Framing::kSized;
  } else if (equals_ignore_case(name, "transfer-encoding")) {
    if (equals_ignore_case(value, "chunked")) framing_ = Framing::kChunked;
  } else if (equals_ignore_case(name, "connection")) {
    if (equals_ignore_case(value, "close")) closes_ = true;
  } else if (equals_ignore_case(name, "retry-after")) {
    int seconds = 0;
    if (read_number(value, seconds, 10)) retry_after_s_ = std::max(seconds, 0);
  }
}

std::size_t ResponseReader::feed_chunked(std::string_view bytes, const OnBody& on_body) {
  if (chunk_ == Chunk::kData) {
    const std::string_view piece = bytes.substr(0, std::min<std::uint64_t>(left_, bytes.size()));
    on_body(piece);
    left_ -= piece.size();
    if (left_ == 0) chunk_ = Chunk::kDataEnd;
    return piece.size();
  }
  const std::size_t end = bytes.find('\n');
  const std::size_t used = end == std::string_view::npos ? bytes.size() : end + 1;
  line_ += bytes.substr(0, used);
  if (line_.size() > kFramingLineMax || (end != std::string_view::npos && !take_chunk_line())) state_ = State::kBroken;
  return used;
}

bool ResponseReader::take_chunk_line() {
  const std::string line(trimmed(std::string_view(line_).substr(0, line_.size() - 1)));
  line_.clear();
  switch (chunk_) {
    case Chunk::kSize:
      if (!read_number(std::string_view(line), left_, 16)) return false;
      chunk_ = left_ == 0 ? Chunk::kTrailer : Chunk::kData;
      return true;
    case Chunk::kDataEnd:
      chunk_ = Chunk::kSize;
      return line.empty();
    case Chunk::kTrailer:
      if (line.empty()) state_ = State::kDone;
      return true;
    case Chunk::kData:
      break;
  }
  return false;
}

}  // namespace tidegate::bench
