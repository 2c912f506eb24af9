#pragma once

#include <string>
#include <string_view>

namespace tidegate::worker {

/// Token bytes to text, one token at a time. A character that several tokens spell comes out when it is
/// whole, so the text so far is always valid UTF-8. Bytes that can no longer become a character come out as
/// U+FFFD, one per maximal ill-formed part. Chunking never changes the joined text. Not thread-safe.
class TextDecoder {
 public:
  /// Text that is certain after these bytes; may be empty.
  std::string feed(std::string_view bytes);
  /// End of the stream: an unfinished character becomes one U+FFFD. The decoder is empty afterwards.
  std::string finish();

 private:
  std::string held_;  ///< at most three bytes: the valid beginning of a character
};

}  // namespace tidegate::worker
