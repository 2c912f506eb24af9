#pragma once

#include <cstdint>

namespace tidegate::billing {

/// Advisory lock: shared by who stores receipts, exclusive for the moment in which a day is cut, so that every batch
/// with an id up to the cut is visible then.
inline constexpr std::int64_t kReceiptCutLock = 7'597'127'453'411'927'409;

}  // namespace tidegate::billing
