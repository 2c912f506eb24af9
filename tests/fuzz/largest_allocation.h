#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

// Every sanitizer's runtime has it; without one there is nothing to listen to.
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void*, std::size_t),
                                                         void (*on_free)(const volatile void*)) __attribute__((weak));

namespace tidegate::fuzz {

/// The largest single piece of memory asked for while it lives: a number in a file must not become one. Without a sanitizer it
/// is 0, and claims about it say nothing. One at a time.
class LargestAllocation {
 public:
  LargestAllocation() {
    install();
    largest_ = 0;
    is_listening_ = true;
  }
  ~LargestAllocation() { is_listening_ = false; }
  LargestAllocation(const LargestAllocation&) = delete;
  LargestAllocation& operator=(const LargestAllocation&) = delete;

  static std::size_t bytes() { return largest_; }
  /// At most `each` bytes of memory for a byte of the input, and what messages and small tables need anyway.
  static bool is_within(std::size_t input_bytes, std::uint64_t each) {
    constexpr std::uint64_t kAnyway = 512 << 10;
    return largest_ <= input_bytes * each + kAnyway;
  }

 private:
  static void on_malloc(const volatile void*, std::size_t bytes) {
    if (is_listening_) largest_ = std::max(largest_, bytes);
  }
  static void on_free(const volatile void*) {}
  static void install() {
    static const bool is_installed = __sanitizer_install_malloc_and_free_hooks != nullptr &&
                                     __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free) != 0;
    static_cast<void>(is_installed);
  }
  static inline thread_local std::size_t largest_ = 0;
  static inline thread_local bool is_listening_ = false;
};

}  // namespace tidegate::fuzz
