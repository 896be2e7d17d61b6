"A deployed file made by hand: its map is the red channel, its threshold 100."
import json
import onnx
from onnx import TensorProto, helper

FACTS = dict(image_size=64, threshold=100., fpr=.05, fpr_95=.14, experiment='by hand', seed=0, dataset='none',
             category='red')


def red_file(path):
    "Write the file."
    info = helper.make_tensor_value_info
    nodes = [helper.make_node('Cast', ['images'], ['x'], to=TensorProto.FLOAT),
             helper.make_node('Gather', ['x', 'zero'], ['maps'], axis=1),
             helper.make_node('ReduceMax', ['maps', 'axes'], ['scores'], keepdims=0)]
    constants = [helper.make_tensor('zero', TensorProto.INT64, [], [0]),
                 helper.make_tensor('axes', TensorProto.INT64, [2], [1,2])]
    outputs = [info('maps', TensorProto.FLOAT, ['batch',64,64]), info('scores', TensorProto.FLOAT, ['batch'])]
    graph = helper.make_graph(nodes, 'red', [info('images', TensorProto.UINT8, ['batch',3,64,64])], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=10)
    helper.set_model_props(model, {k: json.dumps(v) for k, v in FACTS.items()})
    onnx.save(model, path)
    return path
