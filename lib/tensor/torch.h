// Of LibTorch what the project uses: tensors and their functions, modules, functions with a backward of their
// own. <torch/torch.h> has data loaders, optimizers and all layers beside it, and each file that sees it pays
// twice as much, precompiled or not.
#pragma once

#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/cuda.h>
#include <torch/nn/module.h>
#include <torch/types.h>
