#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>

namespace tidegate {

/// Bytes read but not yet consumed, in one piece. Memory is not zeroed, and moves only in reserve_tail(): views stay
/// valid until then, also while a read is pending into the tail.
class ByteBuffer {
 public:
  std::string_view data() const { return {bytes_.get() + begin_, end_ - begin_}; }
  std::size_t size() const { return end_ - begin_; }
  std::size_t capacity() const { return capacity_; }

  char* tail() { return bytes_.get() + end_; }
  std::size_t tail_room() const { return capacity_ - end_; }
  void commit(std::size_t n) { end_ += n; }
  void consume(std::size_t n) {
    begin_ += n;
    if (begin_ == end_ && !is_pinned_) begin_ = end_ = 0;
  }
  void clear() { begin_ = end_ = 0; }
  /// Keeps the first `n` bytes.
  void truncate(std::size_t n) { end_ = begin_ + n; }

  /// A read is pending into tail(): consuming everything must not move the tail to the front.
  void pin(bool pinned) { is_pinned_ = pinned; }

  /// Makes room for `n` more bytes, moving or growing. Invalidates views; never while pinned.
  void reserve_tail(std::size_t n) {
    if (tail_room() >= n) return;
    const std::size_t held = size();
    if (capacity_ - held >= n) {
      std::memmove(bytes_.get(), bytes_.get() + begin_, held);
    } else {
      std::size_t grown = capacity_ == 0 ? n : capacity_;
      while (grown < held + n) grown *= 2;
      auto bytes = std::make_unique_for_overwrite<char[]>(grown);
      if (held > 0) std::memcpy(bytes.get(), bytes_.get() + begin_, held);
      bytes_ = std::move(bytes);
      capacity_ = grown;
    }
    begin_ = 0;
    end_ = held;
  }

  void append(std::string_view bytes) {
    if (bytes.empty()) return;
    reserve_tail(bytes.size());
    std::memcpy(tail(), bytes.data(), bytes.size());
    commit(bytes.size());
  }

  /// Gives memory back when empty and larger than `most`.
  void shrink(std::size_t most) {
    if (size() > 0 || is_pinned_ || capacity_ <= most) return;
    bytes_.reset();
    capacity_ = begin_ = end_ = 0;
  }

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  bool is_pinned_ = false;
};

}  // namespace tidegate
