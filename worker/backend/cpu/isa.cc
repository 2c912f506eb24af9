#include "worker/backend/cpu/isa.h"

#include <fmt/format.h>

#include <optional>
#include <string>

#include "base/core/check.h"
#include "worker/backend/cpu/kernels.h"

#ifdef TG_X86_KERNELS
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace tidegate::worker {
namespace {

#ifdef TG_X86_KERNELS
/// Leaf 7 of CPUID names the instructions, XCR0 what the system saves when it switches threads, and the kernel gives tile data (8 KiB
/// a thread) to processes that ask only.
std::string_view find_amx_lack() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  constexpr unsigned kBf16 = 1u << 22;
  constexpr unsigned kTile = 1u << 24;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d & kTile) == 0) return "this CPU has no AMX";
  if ((d & kBf16) == 0) return "this CPU's AMX has no bf16 products";
  constexpr unsigned kOsxsave = 1u << 27;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & kOsxsave) == 0) return "the system does not save extended registers";
  unsigned low = 0;
  unsigned high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  constexpr unsigned kTileState = 3u << 17;
  if ((low & kTileState) != kTileState) return "the system has not switched AMX on (XCR0)";
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM; older headers lack the name
  constexpr long kTileData = 18;
  if (::syscall(SYS_arch_prctl, kRequestPermission, kTileData) != 0) {
    return "the kernel refuses AMX to this process (arch_prctl; Linux 5.16 or later gives it)";
  }
  return {};
}

std::string_view amx_lack() {
  static const std::string_view lack = find_amx_lack();
  return lack;
}
#endif

std::optional<CpuIsa> isa_named(std::string_view name) {
  for (int i = 0; i < kCpuIsas; ++i) {
    if (isa_name(static_cast<CpuIsa>(i)) == name) return static_cast<CpuIsa>(i);
  }
  return std::nullopt;
}

std::string_view arithmetic_name(Arithmetic arithmetic) {
  switch (arithmetic) {
    case Arithmetic::kExact:
      return "exact";
    case Arithmetic::kBf16:
      return "bf16";
    case Arithmetic::kFast:
      return "fast";
  }
  return "?";
}

CpuIsa best_for(Arithmetic arithmetic) {
  switch (arithmetic) {
    case Arithmetic::kExact:
      return resolve_isa(CpuIsa::kAuto);
    case Arithmetic::kBf16:
      return isa_available(CpuIsa::kAmxBf16) ? CpuIsa::kAmxBf16 : CpuIsa::kAvx512Bf16;
    case Arithmetic::kFast:
      return CpuIsa::kVnniInt8;
  }
  return CpuIsa::kScalar;
}

}  // namespace

std::string_view isa_lack(CpuIsa isa) {
  switch (isa) {
    case CpuIsa::kAuto:
    case CpuIsa::kScalar:
    case CpuIsa::kAmxReference:
    case CpuIsa::kInt8Reference:
      return {};
#ifdef TG_X86_KERNELS
    case CpuIsa::kAvx2: {
      const bool has_all = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
      return has_all ? std::string_view() : "this CPU has no AVX2 with FMA and F16C";
    }
    case CpuIsa::kAvx512:
      return __builtin_cpu_supports("avx512f") ? isa_lack(CpuIsa::kAvx2) : "this CPU has no AVX512F";
    case CpuIsa::kAvx512Bf16:
      return __builtin_cpu_supports("avx512bf16") ? isa_lack(CpuIsa::kAvx512) : "this CPU has no AVX512_BF16";
    case CpuIsa::kAmxBf16:
      return amx_lack().empty() ? isa_lack(CpuIsa::kAvx512Bf16) : amx_lack();
    case CpuIsa::kVnniInt8:
      return __builtin_cpu_supports("avx512vnni") ? isa_lack(CpuIsa::kAvx512) : "this CPU has no AVX512_VNNI";
#else
    case CpuIsa::kAvx2:
    case CpuIsa::kAvx512:
    case CpuIsa::kAvx512Bf16:
    case CpuIsa::kAmxBf16:
    case CpuIsa::kVnniInt8:
      return "this build is for another kind of CPU than x86-64";
#endif
  }
  return "unknown";
}

bool isa_available(CpuIsa isa) { return isa_lack(isa).empty(); }

CpuIsa resolve_isa(CpuIsa isa) {
  if (isa != CpuIsa::kAuto) return isa;
  if (isa_available(CpuIsa::kAvx512)) return CpuIsa::kAvx512;
  return isa_available(CpuIsa::kAvx2) ? CpuIsa::kAvx2 : CpuIsa::kScalar;
}

Arithmetic arithmetic_of(CpuIsa isa) {
  switch (isa) {
    case CpuIsa::kAuto:
    case CpuIsa::kScalar:
    case CpuIsa::kAvx2:
    case CpuIsa::kAvx512:
      return Arithmetic::kExact;
    case CpuIsa::kAvx512Bf16:
    case CpuIsa::kAmxBf16:
    case CpuIsa::kAmxReference:
      return Arithmetic::kBf16;
    case CpuIsa::kVnniInt8:
    case CpuIsa::kInt8Reference:
      return Arithmetic::kFast;
  }
  return Arithmetic::kExact;
}

Result<CpuIsa> choose_isa(std::string_view arithmetic, std::string_view kernels) {
  std::optional<Arithmetic> wanted;
  for (const Arithmetic known : {Arithmetic::kExact, Arithmetic::kBf16, Arithmetic::kFast}) {
    if (arithmetic_name(known) == arithmetic) wanted = known;
  }
  if (!wanted) {
    return fail(Code::kInvalidArgument, "bad_config", fmt::format("arithmetic is {}; it is exact, bf16 or fast", arithmetic),
                "arithmetic");
  }
  const std::optional<CpuIsa> named = isa_named(kernels);
  if (!named) {
    std::string known;
    for (int i = 0; i < kCpuIsas; ++i) known += fmt::format("{}{}", i == 0 ? "" : ", ", isa_name(static_cast<CpuIsa>(i)));
    return fail(Code::kInvalidArgument, "bad_config", fmt::format("kernels is {}; known are {}", kernels, known), "kernels");
  }
  if (*named == CpuIsa::kAuto) {
    const CpuIsa best = best_for(*wanted);
    if (const std::string_view lack = isa_lack(best); !lack.empty()) {
      return fail(Code::kInvalidArgument, "bad_config",
                  fmt::format("arithmetic = {}: {}; use arithmetic = exact here", arithmetic, lack), "arithmetic");
    }
    return best;
  }
  if (arithmetic_of(*named) != *wanted) {
    return fail(Code::kInvalidArgument, "bad_config",
                fmt::format("kernels = {} compute with arithmetic = {}, not {}: set both alike, or kernels = auto", kernels,
                            arithmetic_name(arithmetic_of(*named)), arithmetic),
                "kernels");
  }
  if (const std::string_view lack = isa_lack(*named); !lack.empty()) {
    return fail(Code::kInvalidArgument, "bad_config", fmt::format("kernels = {}: {}; use kernels = auto here", kernels, lack),
                "kernels");
  }
  return *named;
}

const KernelTable& kernels_for(CpuIsa isa) {
  TG_CHECK(isa_available(isa));
  switch (resolve_isa(isa)) {
#ifdef TG_X86_KERNELS
    case CpuIsa::kVnniInt8:
      return kVnniInt8Kernels;
    case CpuIsa::kAmxBf16:
      return kAmxBf16Kernels;
    case CpuIsa::kAvx512Bf16:
      return kAvx512Bf16Kernels;
    case CpuIsa::kAvx512:
      return kAvx512Kernels;
    case CpuIsa::kAvx2:
      return kAvx2Kernels;
#else
    case CpuIsa::kVnniInt8:
    case CpuIsa::kAmxBf16:
    case CpuIsa::kAvx512Bf16:
    case CpuIsa::kAvx512:
    case CpuIsa::kAvx2:
#endif
    case CpuIsa::kAuto:
    case CpuIsa::kScalar:
      return kScalarKernels;
    case CpuIsa::kAmxReference:
      return kAmxReferenceKernels;
    case CpuIsa::kInt8Reference:
      return kInt8ReferenceKernels;
  }
  return kScalarKernels;
}

std::string_view isa_name(CpuIsa isa) {
  switch (isa) {
    case CpuIsa::kAuto:
      return "auto";
    case CpuIsa::kScalar:
      return "scalar";
    case CpuIsa::kAvx2:
      return "avx2";
    case CpuIsa::kAvx512:
      return "avx512";
    case CpuIsa::kAvx512Bf16:
      return "avx512-bf16";
    case CpuIsa::kAmxBf16:
      return "amx-bf16";
    case CpuIsa::kAmxReference:
      return "amx-reference";
    case CpuIsa::kVnniInt8:
      return "vnni-int8";
    case CpuIsa::kInt8Reference:
      return "int8-reference";
  }
  return "?";
}

}  // namespace tidegate::worker
