#include "base/core/check.h"
#include "worker/backend/cpu/kernels.h"

namespace tidegate::worker {

bool isa_available(CpuIsa isa) {
  switch (isa) {
    case CpuIsa::kAuto:
    case CpuIsa::kScalar:
      return true;
#ifdef TG_X86_KERNELS
    case CpuIsa::kAvx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
             __builtin_cpu_supports("f16c");
    case CpuIsa::kAvx512:
      return __builtin_cpu_supports("avx512f") && isa_available(CpuIsa::kAvx2);
#else
    case CpuIsa::kAvx2:
    case CpuIsa::kAvx512:
      return false;
#endif
  }
  return false;
}

CpuIsa resolve_isa(CpuIsa isa) {
  if (isa != CpuIsa::kAuto) return isa;
  if (isa_available(CpuIsa::kAvx512)) return CpuIsa::kAvx512;
  return isa_available(CpuIsa::kAvx2) ? CpuIsa::kAvx2 : CpuIsa::kScalar;
}

const KernelTable& kernels_for(CpuIsa isa) {
  TG_CHECK(isa_available(isa));
  switch (resolve_isa(isa)) {
#ifdef TG_X86_KERNELS
    case CpuIsa::kAvx512:
      return kAvx512Kernels;
    case CpuIsa::kAvx2:
      return kAvx2Kernels;
#else
    case CpuIsa::kAvx512:
    case CpuIsa::kAvx2:
#endif
    case CpuIsa::kAuto:
    case CpuIsa::kScalar:
      return kScalarKernels;
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
  }
  return "?";
}

}  // namespace tidegate::worker
