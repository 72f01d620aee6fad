import top
