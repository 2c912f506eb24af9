#pragma once

#include <cstdint>
#include <string_view>

#include "base/core/result.h"

namespace tidegate::worker {

/// Which compiled kernels run. The exact ones give the same bits; kScalar is their readable reference. The others round the
/// inputs of products and are used where they or their arithmetic are named only:
///   kAvx512Bf16             to bf16, unless weights are F32
///   kAmxBf16, kAmxReference to bf16 as well, with sums in the order of AMX tiles: other bits. The latter is what Intel documents of
///                           them, without any instruction set: slow, for tests and for looking into answers elsewhere
///   kVnniInt8, kInt8Reference  to int8, 32 to a scale, for Q8_0 weights only; the same bits, the latter without any instruction set
enum class CpuIsa : std::uint8_t {
  kAuto,
  kScalar,
  kAvx2,
  kAvx512,
  kAvx512Bf16,
  kAmxBf16,
  kAmxReference,
  kVnniInt8,
  kInt8Reference,
};
inline constexpr int kCpuIsas = 9;

/// What products may do to their inputs: nothing, round them to bf16, round those of Q8_0 weights to int8.
enum class Arithmetic : std::uint8_t { kExact, kBf16, kFast };

/// This CPU has it, this system lets it be used and this build contains it. kAuto, kScalar and the references always are.
/// The first question about kAmxBf16 asks the kernel for its registers, for the whole process and for good: ask before there
/// are threads with small signal stacks.
bool isa_available(CpuIsa isa);
/// Why it is not available, in words for a person; empty: it is.
std::string_view isa_lack(CpuIsa isa);
/// kAuto becomes the widest exact one available; anything else stays.
CpuIsa resolve_isa(CpuIsa isa);
std::string_view isa_name(CpuIsa isa);
Arithmetic arithmetic_of(CpuIsa isa);

/// The kernels of a worker: its option `arithmetic` (exact, bf16, fast) with the best there is for it, or those that its option
/// `kernels` names (isa_name). bf16 is AMX where there is AMX, otherwise AVX512_BF16: one of them for every batch size, since they
/// differ in bits. Fails: invalid_argument/bad_config naming the option: unknown; of another arithmetic; not on this CPU.
Result<CpuIsa> choose_isa(std::string_view arithmetic, std::string_view kernels);

}  // namespace tidegate::worker
