#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>

#include "worker/backend/cpu/huge_pages.h"

namespace tidegate::worker {

/// Uninitialised memory at a cache-line boundary, so that a panel row never straddles two lines; large ones in huge pages.
/// T is trivial.
template <typename T>
class AlignedBuffer {
 public:
  static constexpr std::size_t kAlignment = 64;
  /// From here on half a huge page that stays empty is little.
  static constexpr std::size_t kLargeBytes = 2 * kHugePageBytes;

  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t size) : size_(size) {
    const std::size_t bytes = size * sizeof(T) + kAlignment;
    const bool is_large = bytes >= kLargeBytes;
    const std::align_val_t alignment{is_large ? kHugePageBytes : kAlignment};
    data_ = {static_cast<T*>(::operator new (bytes, alignment)), Free{alignment}};
    if (is_large) advise_huge_pages(data_.get(), bytes);
  }

  [[nodiscard]] T* data() { return data_.get(); }
  [[nodiscard]] const T* data() const { return data_.get(); }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] T& operator[](std::size_t i) { return data_.get()[i]; }
  [[nodiscard]] const T& operator[](std::size_t i) const { return data_.get()[i]; }

  /// Makes room for `size` elements; contents are lost when it grows. For scratch memory that settles after a
  /// step.
  void grow(std::size_t size) {
    if (size > size_) *this = AlignedBuffer(size);
  }

 private:
  struct Free {
    std::align_val_t alignment{kAlignment};
    void operator()(T* p) const { ::operator delete (p, alignment); }
  };
  std::unique_ptr<T, Free> data_;
  std::size_t size_ = 0;
};

}  // namespace tidegate::worker
