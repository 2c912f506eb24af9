#pragma once

#include <cstddef>

namespace tidegate::worker {

/// Of memory that the address translation of x86-64 and arm64 covers with one entry.
inline constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;

/// Asks for huge pages behind [data, data + size) before it is touched: weights are read once a step from all over, and a
/// translation of every 4 KiB costs a tenth of that. Advice: whether it is taken changes no result.
void advise_huge_pages(void* data, std::size_t size);

}  // namespace tidegate::worker
