#pragma once

#include <cstdint>
#include <string_view>

namespace tidegate::worker {

/// Which compiled kernels run. All of them give the same bits; kScalar is the readable reference.
enum class CpuIsa : std::uint8_t { kAuto, kScalar, kAvx2, kAvx512 };

/// This CPU has it and this build contains it. kAuto and kScalar always are.
bool isa_available(CpuIsa isa);
/// kAuto becomes the widest available; anything else stays.
CpuIsa resolve_isa(CpuIsa isa);
std::string_view isa_name(CpuIsa isa);

}  // namespace tidegate::worker
